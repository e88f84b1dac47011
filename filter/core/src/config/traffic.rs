//! `traffic_config`: the split of an endpoint's traffic, and what follows from it, the order of attempts.

use std::collections::HashMap;

use super::{
    Plan, ServedEntity,
    entity::Draft,
    names::chain_cluster,
    reader::{Field, Object},
};

/// Databricks falls back at most twice.
const MAX_ATTEMPTS: usize = 3;

/// Each entity's percentage, in the order of `served_entities`.
pub(super) fn read_shares(core: &Object<'_>, traffic: Option<&Field<'_>>, drafts: &[Draft<'_>]) -> Option<Vec<u8>> {
    let Some(traffic) = traffic else {
        if drafts.len() > 1 {
            core.report_missing("traffic_config", "the split of the traffic: there are several served entities");
        }
        return (drafts.len() == 1).then(|| vec![100]);
    };
    let mut object = traffic.object()?;
    let routes = object.take("routes");
    if routes.is_none() {
        object.report_missing("routes", "a list of entities and their percentages");
    }
    object.close();
    let routes = routes?;
    let shares = routes.some(read_route)?;
    let sum: u64 = shares.iter().map(|(_, _, percentage)| u64::from(*percentage)).sum();
    if sum != 100 {
        routes.report(format!("percentages that sum to {sum}"), "exactly 100");
    }
    assign(&shares, drafts).filter(|_| sum == 100)
}

fn read_route<'a>(field: &Field<'a>) -> Option<(Field<'a>, &'a str, u8)> {
    let mut route = field.object()?;
    let entity = route.take("served_entity_name");
    let model = route.take("served_model_name");
    let percentage = route.read("traffic_percentage", "a whole number from 0 to 100", |percentage| {
        percentage.whole(0..=100).and_then(|percentage| u8::try_from(percentage).ok())
    });
    let name = match (entity, model) {
        (Some(entity), model) => {
            let name = entity.text();
            if let (Some(name), Some(model)) = (name, model)
                && model.node.text() != Some(name)
            {
                model.reject(format!("no such key, or `{name}` as in `served_entity_name`"));
            }
            name.map(|name| (entity, name))
        }
        (None, Some(model)) => {
            model.reject("no such key: Databricks gave it up for `served_entity_name`");
            None
        }
        (None, None) => {
            route.report_missing("served_entity_name", "a served entity's name");
            None
        }
    };
    route.close();
    let (field, name) = name?;
    Some((field, name, percentage?))
}

fn assign(routes: &[(Field<'_>, &str, u8)], drafts: &[Draft<'_>]) -> Option<Vec<u8>> {
    let mut shares: HashMap<&str, Option<u8>> =
        drafts.iter().filter_map(|draft| Some((draft.name.as_deref()?, None))).collect();
    let mut is_valid = true;
    for (field, name, percentage) in routes {
        match shares.get_mut(name) {
            Some(share @ None) => *share = Some(*percentage),
            Some(Some(_)) => {
                is_valid = false;
                field.reject("an entity that has no other route");
            }
            // An entity whose name is wrong may be the one that is meant.
            None if drafts.iter().any(|draft| draft.name.is_none()) || drafts.is_empty() => is_valid = false,
            None => {
                is_valid = false;
                field.reject("the name of one of `served_entities`");
            }
        }
    }
    let share = |draft: &Draft<'_>| shares.get(draft.name.as_deref()?).map(|share| share.unwrap_or(0));
    drafts.iter().map(share).collect::<Option<_>>().filter(|_| is_valid)
}

/// A plan for each entity that traffic goes to: itself, then the others in their order.
pub(super) fn plans(endpoint: &str, entities: &[ServedEntity], shares: &[u8], has_fallback: bool) -> Vec<Plan> {
    let primaries = entities.iter().zip(shares).enumerate().filter(|(_, (_, share))| **share > 0);
    primaries
        .map(|(primary, (entity, share))| {
            let others = (0..entities.len()).filter(|other| has_fallback && *other != primary);
            let order: Vec<usize> = std::iter::once(primary).chain(others).take(MAX_ATTEMPTS).collect();
            let cluster = match order.len() {
                1 => entity.cluster.name().to_owned(),
                _ => {
                    let clusters = order.iter().filter_map(|index| entities.get(*index));
                    chain_cluster(endpoint, &entity.name, clusters.map(|entity| entity.cluster.name()))
                }
            };
            Plan { entities: order, traffic_percentage: *share, cluster }
        })
        .collect()
}
