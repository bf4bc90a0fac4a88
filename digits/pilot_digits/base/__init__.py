"""How the base model `digits-tiny` is made. The only part of this package that needs torch and transformers."""
