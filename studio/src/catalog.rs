//! The kinds and functions that this build knows, as the editor needs them.

use millrace_engine::expr::aggregate::aggregates;
use millrace_engine::expr::functions;
use millrace_engine::model::alert::Figure;
use millrace_engine::model::catalog::schema_of;
use millrace_engine::model::field::{CommonFields, SinkFields, SourceFields};
use millrace_engine::model::file::alert_schema;
use millrace_engine::model::{self, DataType, Inputs, PipelineSettings};
use millrace_studio_api::{Catalog, FunctionInfo, InputsInfo, KindInfo, PortInfo};

/// Everything that the editor knows before a file is open.
pub fn catalog(kinds: &model::Catalog) -> Catalog {
    let scalar = functions().iter().map(|function| FunctionInfo {
        name: function.name.to_owned(),
        signature: function.signature.to_owned(),
        summary: function.summary.to_owned(),
        is_aggregate: false,
    });
    let aggregate = aggregates().iter().map(|function| FunctionInfo {
        name: function.name.to_owned(),
        signature: function.signature.to_owned(),
        summary: function.summary.to_owned(),
        is_aggregate: true,
    });
    Catalog {
        kinds: kinds.iter().map(kind).collect(),
        common_schema: schema_of::<CommonFields>(),
        source_schema: schema_of::<SourceFields>(),
        sink_schema: schema_of::<SinkFields>(),
        pipeline_schema: schema_of::<PipelineSettings>(),
        alert_schema: alert_schema(),
        run_figures: Figure::ALL.iter().filter(|figure| figure.is_of_run_alone()).map(|figure| figure.name().to_owned()).collect(),
        functions: scalar.chain(aggregate).collect(),
        types: DataType::ALL.iter().map(|data_type| data_type.name().to_owned()).collect(),
    }
}

fn kind(kind: &model::KindInfo) -> KindInfo {
    KindInfo {
        name: kind.name.to_owned(),
        title: kind.title.to_owned(),
        category: format!("{:?}", kind.category).to_lowercase(),
        icon: kind.icon.to_owned(),
        summary: kind.summary.to_owned(),
        inputs: match kind.inputs {
            Inputs::None => InputsInfo::None,
            Inputs::One => InputsInfo::One,
            Inputs::Many => InputsInfo::Many,
            Inputs::Named(names) => InputsInfo::Named { names: names.iter().map(|name| (*name).to_owned()).collect() },
        },
        has_output: kind.has_output,
        side_ports: kind.side_ports.iter().map(|port| PortInfo { name: port.name.to_owned(), summary: port.summary.to_owned() }).collect(),
        key_fields: kind.key_fields.iter().map(|field| (*field).to_owned()).collect(),
        schema: (kind.schema)(),
    }
}
