"""What scripts/train_reference.py is made of."""
