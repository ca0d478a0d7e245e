"""Recipes, one folder a system; they are installed as ``hybridquant.configs``."""
