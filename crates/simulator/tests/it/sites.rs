use std::collections::{HashMap, HashSet};

use grapevine_simulator::{Scenario, simulate, simulate_sites};

#[test]
fn one_site_is_the_same_alone() {
    let scenario = Scenario::small();
    let sites = simulate_sites(&scenario).unwrap();
    assert!(
        sites
            .map(|(_, event)| event)
            .eq(simulate(&scenario).unwrap())
    );
}

#[test]
fn sites_share_people_and_nothing_else() {
    let mut scenario = Scenario::small();
    scenario.more_sites = vec!["sport.example".into(), "local.example".into()];
    scenario.requests_target = 15_000;
    let sites = simulate_sites(&scenario).unwrap();
    let names: Vec<String> = sites.names().iter().map(|name| name.to_string()).collect();
    assert_eq!(names, ["news.example", "sport.example", "local.example"]);
    let mut last = 0;
    let (mut ids, mut visits) = (HashSet::new(), HashMap::new());
    let mut people = vec![HashSet::new(); 3];
    let mut visitors = vec![HashSet::new(); 3];
    let mut paths = vec![HashSet::new(); 3];
    for (site, event) in sites {
        assert!(event.time >= last);
        last = event.time;
        assert!(ids.insert(event.id));
        assert_eq!(event.id % 3, site as u64);
        if !event.is_visit() {
            continue;
        }
        let truth = &event.truth;
        visits.insert(truth.visit.unwrap(), site);
        for earlier in [truth.parent, truth.root, truth.token_of, truth.returns_to] {
            assert!(earlier.is_none_or(|earlier| visits.get(&earlier) == Some(&site)));
        }
        people[site].insert(truth.person.unwrap());
        paths[site].insert(truth.content.clone());
        visitors[site].extend(event.client.map(|client| client.visitor));
    }
    let common = |sets: &[HashSet<u64>]| sets[0].intersection(&sets[1]).count();
    assert!(
        common(&people) > 50,
        "regulars read several sites: {}",
        common(&people)
    );
    assert_eq!(visitors[0].intersection(&visitors[1]).count(), 0);
    // The home page and the seven sections.
    assert!(paths[0].intersection(&paths[1]).count() <= 8);
    assert!(visits.len() > 300);
}
