"""Laws are searched for counterexamples with seeds that hypothesis prints when one is found."""

from hypothesis import settings

# The machine of a check is shared: how long an example takes says nothing about the code.
settings.register_profile("laws", deadline=None, print_blob=True)
settings.load_profile("laws")
