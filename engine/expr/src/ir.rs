//! The typed form of an expression: operands have the types that their operation wants, every cast is written out.

use std::sync::Arc;

use millrace_model::DataType;

use crate::error::Place;
pub use crate::kernels::like::LikePattern;

/// An expression with its type, and where it stands in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Ir {
    pub node: Node,
    pub data_type: DataType,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Column {
        name: String,
        nullable: bool,
    },
    Literal(Literal),
    /// To the type of the expression that holds this node.
    Cast(Box<Ir>),
    /// The same; what cannot be cast is NULL and no failure.
    TryCast(Box<Ir>),
    Negate(Box<Ir>),
    Not(Box<Ir>),
    /// Both sides have the type of the result.
    Arithmetic {
        op: Arithmetic,
        left: Box<Ir>,
        right: Box<Ir>,
    },
    /// A date moved by a BIGINT of days.
    AddDays {
        date: Box<Ir>,
        days: Box<Ir>,
    },
    /// Both sides have one type.
    Compare {
        op: Comparison,
        left: Box<Ir>,
        right: Box<Ir>,
    },
    /// From left to right: what follows a FALSE cannot fail.
    And(Vec<Ir>),
    /// From left to right: what follows a TRUE cannot fail.
    Or(Vec<Ir>),
    IsNull {
        input: Box<Ir>,
        negated: bool,
    },
    /// `IS TRUE` and its like: never NULL.
    Is {
        input: Box<Ir>,
        value: bool,
        negated: bool,
    },
    In {
        input: Box<Ir>,
        list: Vec<Ir>,
        negated: bool,
    },
    Between {
        input: Box<Ir>,
        low: Box<Ir>,
        high: Box<Ir>,
        negated: bool,
    },
    Like {
        input: Box<Ir>,
        pattern: LikePattern,
        negated: bool,
    },
    /// A pattern that is different from row to row.
    LikeEach {
        input: Box<Ir>,
        pattern: Box<Ir>,
        escape: Option<char>,
        ignore_case: bool,
        negated: bool,
    },
    /// With an operand, the branches' conditions are values that it is compared with. Only the branch that is taken can fail.
    Case {
        operand: Option<Box<Ir>>,
        branches: Vec<(Ir, Ir)>,
        otherwise: Option<Box<Ir>>,
    },
    /// NULL where both are equal as `meeting`, else the input.
    NullIf {
        input: Box<Ir>,
        other: Box<Ir>,
        meeting: DataType,
    },
    /// What follows a value cannot fail.
    Coalesce(Vec<Ir>),
    /// A timestamp moved by calendar months and microseconds.
    AddInterval {
        input: Box<Ir>,
        interval: Interval,
    },
    Call {
        function: Function,
        arguments: Vec<Ir>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Null,
    Boolean(bool),
    /// Any integer type, DATE (days) and TIMESTAMP (microseconds).
    Integer(i128),
    Double(f64),
    /// Digits with a point and no exponent: FLOAT where it meets one, else DOUBLE.
    Decimal(f64),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    /// `/`: always of floats.
    Divide,
    /// `//`: truncates towards zero.
    IntegerDivide,
    /// `%`: has the sign of the left side.
    Modulo,
}

impl Arithmetic {
    pub const fn symbol(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::IntegerDivide => "//",
            Arithmetic::Modulo => "%",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    /// `IS DISTINCT FROM`: NULL is a value like another.
    Distinct,
    NotDistinct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub months: i32,
    pub micros: i64,
}

/// A function of the registry, with what its constants prepared.
#[derive(Debug, Clone)]
pub enum Function {
    /// Rows to rows, one value each; see [`crate::functions`].
    Named(&'static str),
    RegexMatches(regex::Regex),
    RegexExtract {
        regex: regex::Regex,
        group: usize,
    },
    Trunc(TimePart),
    Part(TimePart),
    /// A count of such units since 1970, as a TIMESTAMP.
    FromEpoch {
        micros_per_unit: i64,
    },
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePart {
    Millennium,
    Century,
    Decade,
    Year,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Epoch,
    EpochMs,
    EpochUs,
}

/// An expression that is ready to compile.
#[derive(Debug, Clone, PartialEq)]
pub struct TypedExpr {
    pub ir: Ir,
    pub data_type: DataType,
    pub nullable: bool,
    /// The columns that it reads, each once.
    pub columns: Vec<String>,
    /// The text that it was read from, for the words of its failures.
    pub(crate) text: Arc<str>,
}

impl TypedExpr {
    pub(crate) fn new(ir: Ir, text: &str) -> Self {
        let mut columns = Vec::new();
        ir.visit(&mut |part| {
            if let Node::Column { name, .. } = &part.node
                && !columns.contains(name)
            {
                columns.push(name.clone());
            }
        });
        TypedExpr { data_type: ir.data_type, nullable: ir.nullable(), columns, ir, text: text.into() }
    }

    /// The column's name, where the expression is nothing else.
    pub fn as_column(&self) -> Option<&str> {
        match &self.ir.node {
            Node::Column { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether a value of it can fail to be computed.
    pub fn can_fail(&self) -> bool {
        self.ir.can_fail()
    }
}

impl Ir {
    pub(crate) fn new(node: Node, data_type: DataType) -> Ir {
        Ir { node, data_type, place: Place::default() }
    }

    pub(crate) fn at(mut self, place: Place) -> Ir {
        self.place = place;
        self
    }

    pub(crate) fn null(data_type: DataType) -> Ir {
        Ir::new(Node::Literal(Literal::Null), data_type)
    }

    fn children(&self) -> Vec<&Ir> {
        match &self.node {
            Node::Column { .. } | Node::Literal(_) => vec![],
            Node::Cast(input) | Node::TryCast(input) | Node::Negate(input) | Node::Not(input) => vec![input],
            Node::IsNull { input, .. } | Node::Is { input, .. } | Node::Like { input, .. } | Node::AddInterval { input, .. } => vec![input],
            Node::Arithmetic { left, right, .. } | Node::Compare { left, right, .. } => vec![left, right],
            Node::AddDays { date, days } => vec![date, days],
            Node::NullIf { input, other, .. } => vec![input, other],
            Node::LikeEach { input, pattern, .. } => vec![input, pattern],
            Node::Between { input, low, high, .. } => vec![input, low, high],
            Node::In { input, list, .. } => std::iter::once(&**input).chain(list).collect(),
            Node::Case { operand, branches, otherwise } => {
                let branches = branches.iter().flat_map(|(when, then)| [when, then]);
                operand.as_deref().into_iter().chain(branches).chain(otherwise.as_deref()).collect()
            }
            Node::And(list) | Node::Or(list) | Node::Coalesce(list) => list.iter().collect(),
            Node::Call { arguments, .. } => arguments.iter().collect(),
        }
    }

    fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Ir)) {
        see(self);
        for child in self.children() {
            child.visit(see);
        }
    }

    /// Whether it may be NULL: for what it reads, or because it fails.
    fn nullable(&self) -> bool {
        match &self.node {
            Node::Column { nullable, .. } => *nullable,
            Node::Literal(literal) => *literal == Literal::Null,
            Node::NullIf { .. } | Node::TryCast(_) | Node::Case { otherwise: None, .. } => true,
            // These give an answer for NULL, but none for what failed below them.
            Node::IsNull { .. } | Node::Is { .. } | Node::Compare { op: Comparison::Distinct | Comparison::NotDistinct, .. } => {
                self.can_fail()
            }
            Node::Coalesce(list) => self.can_fail() || list.iter().all(Ir::nullable),
            // Which of its kind cannot give NULL is not looked into.
            Node::Call { .. } => true,
            _ => self.fails_itself() || self.children().into_iter().any(Ir::nullable),
        }
    }

    pub(crate) fn can_fail(&self) -> bool {
        let mut can = false;
        self.visit(&mut |part| can |= part.fails_itself());
        can
    }

    fn fails_itself(&self) -> bool {
        match &self.node {
            Node::Cast(input) => !crate::kernels::cast::is_total(input.data_type, self.data_type),
            Node::Negate(_) => self.data_type.is_integer(),
            Node::Arithmetic { op, .. } => {
                !(self.data_type.is_float() && matches!(op, Arithmetic::Add | Arithmetic::Subtract | Arithmetic::Multiply))
            }
            Node::AddInterval { .. } | Node::AddDays { .. } | Node::LikeEach { .. } => true,
            Node::Call { function: Function::Named(name), .. } => crate::functions::can_fail(name),
            Node::Call { function: Function::Trunc(_) | Function::FromEpoch { .. }, .. } => true,
            _ => false,
        }
    }
}
