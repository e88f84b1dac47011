//! Which entity is tried first: drawn by `traffic_percentage`.

use std::borrow::Cow;

use crate::{
    api::Api,
    config::{Endpoint, Plan},
};

/// Draws a plan with 64 random bits; `None` only where the endpoint has no plan at all, which no configuration gives.
pub fn draw(endpoint: &Endpoint, random: u64) -> Option<&Plan> {
    // The high half times 100, its upper 32 bits: 0 to 99, each as often as the other up to 1 in 43 million.
    let mut ticket = ((random >> 32) * 100) >> 32;
    for plan in &endpoint.plans {
        match ticket.checked_sub(u64::from(plan.traffic_percentage)) {
            Some(rest) => ticket = rest,
            None => return Some(plan),
        }
    }
    endpoint.plans.first()
}

/// The plan as far as its entities answer `api`. One that not all of them do (counting tokens) goes to the first that does,
/// alone: the plan's own cluster would try the others too. `None`: none does.
pub fn able<'e>(endpoint: &Endpoint, plan: &'e Plan, api: Api) -> Option<Cow<'e, Plan>> {
    let answers =
        |index: &usize| endpoint.entities.get(*index).is_some_and(|entity| entity.provider.way(api).is_some());
    if plan.entities.iter().all(answers) {
        return Some(Cow::Borrowed(plan));
    }
    let index = *plan.entities.iter().find(|index| answers(index))?;
    let cluster = endpoint.entities.get(index)?.cluster.name().to_owned();
    Some(Cow::Owned(Plan { entities: vec![index], cluster, ..*plan }))
}

/// Whether any of the plan's entities can be asked. Those that cannot, since their token has not been fetched, count as failed: the
/// attempt role sees to that.
pub fn ready(endpoint: &Endpoint, plan: &Plan, now: impl Fn() -> u64) -> bool {
    let mut entities = plan.entities.iter().filter_map(|index| endpoint.entities.get(*index));
    entities.any(|entity| entity.credential.is_ready(&now))
}
