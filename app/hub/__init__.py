"""Models by name: from ORG/NAME on the Hugging Face Hub, or a folder, to something that is served.

Everything here but `naming` and `preparation` runs in a process of its own, `python -m app.hub`, which the command
starts: the processes that serve never fetch and never load huggingface_hub.
"""
