//! A served entity that is no external model: a custom or a foundation model, on a server of the operator's own.

use super::{
    Credential, Provider, Task,
    external_model::{self, External},
    reader::{Field, Object},
    url,
};

/// Where MLflow's scoring server takes requests.
const SCORING_PATH: &str = "/invocations";

/// The name that an entity without one gets, and what could be read.
pub(super) fn read<'a>(object: &mut Object<'a>, entity: &Field<'a>) -> (Option<String>, Option<External<'a>>) {
    let entity_name = object.read("entity_name", "the model's name", Field::owned);
    let entity_version = object.read_if("entity_version", Field::owned);
    let task = object.read_or("task", (entity.clone(), Task::Predict), |task| {
        Some((task.clone(), external_model::read_task(task)?))
    });
    let upstream = object.read("url", "the URL of the server that has the model", url::read);
    let name = entity_name.as_ref().map(|name| match entity_version.as_ref().and_then(Option::as_ref) {
        Some(version) => format!("{name}-{version}"),
        None => name.clone(),
    });
    let external = (|| {
        let (task_field, task) = task?;
        let mut upstream = upstream?;
        if task == Task::Predict && upstream.path_prefix.is_empty() {
            upstream.path_prefix = SCORING_PATH.to_owned();
        }
        let (model, entity_version) = (entity_name?, entity_version?);
        Some(External {
            provider: Provider::Model { entity_name: model.clone(), entity_version },
            credential: Credential::None,
            name: model,
            task,
            task_field,
            upstream,
        })
    })();
    (name, external)
}
