"""HTTP: routes, bodies, errors and keys. Knows no tensors."""
