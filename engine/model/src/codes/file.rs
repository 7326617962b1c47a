//! MR01xx: the pipeline file and its fields.

crate::codes! {
    /// Every code of the file.
    pub FILE;
    SYNTAX = "MR0101", "The file is not TOML", User, Useless;
    TOO_LARGE = "MR0102", "The file is too large", User, Useless;
    NO_VERSION = "MR0103", "The file does not say which format it has", User, Useless;
    UNKNOWN_VERSION = "MR0104", "The file has a format that this release does not read", User, Useless;
    UNKNOWN_TABLE = "MR0105", "A table or field that no pipeline file has", User, Useless;
    NOT_A_TABLE = "MR0106", "A value stands where a table belongs", User, Useless;
    NO_NODES = "MR0107", "The pipeline has no nodes", User, Useless;
    BAD_NODE_NAME = "MR0108", "A name that no node can have", User, Useless;
    NO_KIND = "MR0109", "A node does not say what kind it is", User, Useless;
    UNKNOWN_KIND = "MR0110", "There is no such kind of node", User, Useless;
    UNKNOWN_FIELD = "MR0111", "There is no such field", User, Useless;
    MISSING_FIELD = "MR0112", "A field that must be there is missing", User, Useless;
    WRONG_TYPE = "MR0113", "A value of the wrong type", User, Useless;
    BAD_VALUE = "MR0114", "A value that cannot be read, or is not one of those that fit", User, Useless;
    OUT_OF_RANGE = "MR0115", "A value out of its range", User, Useless;
    TOO_DEEP = "MR0116", "Values are nested too deep", User, Useless;
    TOO_MANY_NODES = "MR0117", "The pipeline has too many nodes", User, Useless;
    TWICE = "MR0118", "The same name is given twice", User, Useless;
    LONG_NAME = "MR0119", "A name is too long", User, Useless;
    NO_INPUT = "MR0120", "A node reads nothing", User, Useless;
    INPUT_TO_SOURCE = "MR0121", "A source is given an input", User, Useless;
    INPUT_SHAPE = "MR0122", "The input is not in the shape that the kind wants", User, Useless;
    UNKNOWN_NODE = "MR0123", "An input names a node that there is not", User, Useless;
    UNKNOWN_PORT = "MR0124", "An input names a port that there is not", User, Useless;
    CYCLE = "MR0125", "Rows would go round in a circle", User, Useless;
    UNREAD_OUTPUT = "MR0126", "Nobody reads what a node gives", User, Useless;
    NO_ENVIRONMENT = "MR0130", "The environment lacks a name that the file refers to", Environment, Useless;
    BAD_REFERENCE = "MR0131", "A reference to the environment cannot be read", User, Useless;
    BAD_OVERRIDE = "MR0132", "A value given by --set has no place in the file", User, Useless;
    BAD_LAYOUT = "MR0133", "A position on the canvas cannot be read", User, Useless;
    BAD_EDIT = "MR0140", "The pipeline cannot be changed in this way", User, Useless;
    BAD_ALERT = "MR0150", "An alert's condition does not fit its figure", User, Useless;
    ALERT_NODE = "MR0151", "An alert watches a node that there is not", User, Useless;
    ALERT_TARGET = "MR0152", "An alert tells somebody who cannot be told", User, Useless;
    TOO_MANY_ALERTS = "MR0153", "The pipeline has too many alerts", User, Useless;
    IDLE_ALERT = "MR0154", "An alert can never fire", User, Useless;
    SPEC = "MR0190", "A kind does not take fields that the checker let pass", Bug, Useless;
}
