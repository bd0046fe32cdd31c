"""The verbs of `roberta-serve`: one module each, imported when its verb is asked for."""
