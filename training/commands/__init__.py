"""The verbs of `roberta-train`: `flags.py` has their parsers, which import little, and each its own module with
`run(options)`, imported when its flags are right."""
