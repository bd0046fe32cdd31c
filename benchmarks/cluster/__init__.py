"""The service on a Ray cluster of this machine: what is lost when parts of it are, and what each way in costs."""
