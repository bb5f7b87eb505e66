use std::collections::HashMap;

use grapevine_simulator::CascadeWriter;

use crate::COUNTED;

#[test]
fn cascades_hold_every_chain_between_first_visits() {
    let mut writer = CascadeWriter::default();
    COUNTED.iter().for_each(|event| writer.add(0, event));
    let mut out = Vec::new();
    let count = writer.write(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("cascade_id,node_id,parent_id,t_seconds"));
    // Nodes and the time of the last, by cascade; rows of a cascade stand together.
    let mut cascades: HashMap<&str, (u32, f64)> = HashMap::new();
    let mut last = "";
    let (mut nodes, mut chained) = (0usize, 0usize);
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let [cascade, node, parent, seconds] = fields[..] else {
            panic!("{line}");
        };
        let (node, seconds): (u32, f64) = (node.parse().unwrap(), seconds.parse().unwrap());
        if cascade != last {
            assert!(!cascades.contains_key(cascade), "{line}");
            assert_eq!((node, parent, seconds), (0, "", 0.0), "{line}");
            cascades.insert(cascade, (0, 0.0));
            last = cascade;
            continue;
        }
        let known = cascades.get_mut(cascade).unwrap();
        assert_eq!(node, known.0 + 1);
        assert!(seconds >= known.1, "{line}");
        let parent: u32 = parent.parse().unwrap();
        assert!(parent < node, "{line}");
        nodes += 1;
        chained += usize::from(parent > 0);
        *known = (node, seconds);
    }
    assert_eq!(cascades.len() as u64, count);
    let landings = COUNTED.iter().filter(|event| event.is_landing());
    let children = landings
        .filter(|event| event.truth.parent.is_some() && event.request.status != 404)
        .count();
    // Children that had been there before are no nodes.
    assert!(
        chained <= children && chained * 100 > children * 90,
        "{chained} of {children}"
    );
    assert!(nodes > 15_000, "{nodes}");
}
