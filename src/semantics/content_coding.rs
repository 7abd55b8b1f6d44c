//! content_coding.
