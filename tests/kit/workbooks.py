"""A workbook as somebody else's library reads it."""


def load_workbook(source, *, data_only=False):
    """The workbook in a file; `data_only`: what its formulas came to when it was written.

    The library takes half a second to load: only those who read a workbook wait for it.
    """
    import openpyxl

    return openpyxl.load_workbook(source, data_only=data_only)
