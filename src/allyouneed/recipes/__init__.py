"""Functions that make what trials share: pretrained bases, organisms, vectors of texts."""
