//! A LAG alone, and two LAGs joined in memory.
