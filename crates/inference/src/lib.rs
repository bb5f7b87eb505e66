//! Classification of visits and share chains: pure, no input or output.
