"""What `make image-check` asks of an image that was built: the real container, as an orchestrator runs it."""
