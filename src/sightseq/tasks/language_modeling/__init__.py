"""Language modelling: prediction of the next token."""
