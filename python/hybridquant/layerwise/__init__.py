"""A QuantGraph piece by piece: what passes that improve one layer after another share."""

from hybridquant.layerwise.products import Product, products_of
from hybridquant.layerwise.sweep import Visit, sweep
from hybridquant.layerwise.units import Unit, unit_of

__all__ = ["Product", "Unit", "Visit", "products_of", "sweep", "unit_of"]
