"""Our bank: ISO 20022 messages over signed HTTP or by file, the client, and a sandbox of a bank.

No real bank was tried. What the messages say is the standard's; how they travel is ours, and
docs/BANK.md describes it for clients of any kind.
"""
