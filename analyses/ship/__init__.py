"""Results that come with the package: ``make`` computes them, ``shipped`` reads them."""
