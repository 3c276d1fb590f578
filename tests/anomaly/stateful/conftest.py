"""Bounded searches are the same everywhere."""

from same_examples import leave_out_local_constants

leave_out_local_constants()
