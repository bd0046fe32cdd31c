"""On a Ray cluster: the service as replicas of Ray Serve, and many files through Ray Data."""
