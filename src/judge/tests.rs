//! Folders of a scenario and a record, and the findings they must give.
