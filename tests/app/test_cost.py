"""The cost model finds what batches cost, never answers less than nothing, and follows a machine that changes."""
