"""The merge: updates in, adapters out, by a plan that says which went into what with what weight.

Decisions: `rules/`, `plan`, `layout`. Math: `mixing`, `distances`, `dtypes`. Edges: `reader`, `writer`, `measure`,
`engine`, `verify`, `folders`, `worker`. Nothing here needs a server, and nothing imports torch.
"""
