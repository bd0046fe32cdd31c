"""Families of encoders: how a checkpoint is loaded, and which of its layers are packed and how."""
