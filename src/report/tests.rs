//! The report of kept runs, drawn in every form.
