"""Predictions for many inputs without a server: from rows of files to rows of a file, in bounded memory."""
