//! What the cross-crate tests share: starting the product, waiting for it, asking it.
