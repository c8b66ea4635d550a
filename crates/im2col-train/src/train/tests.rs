use super::*;

fn position(text: &str, here: &Position) -> Position {
    let mut value = serde_json::to_value(here).unwrap();
    let (pointer, number) = text.split_once(' ').unwrap();
    *value.pointer_mut(pointer).unwrap() = serde_json::from_str(number).unwrap();
    serde_json::from_value(value).unwrap()
}

#[test]
fn every_place_on_the_way_is_known_and_no_other() {
    let data = crate::dataset::Dataset::new([1, 28, 28], vec![0; 10 * 784], vec![0; 10]).unwrap();
    for (shift, validation) in [(0, 0.0), (2, 0.0), (0, 0.2), (2, 0.2)] {
        let options = Options { epochs: 3, batch: 4, shift, validation, ..Options::default() };
        let mut trainer = Trainer::new(im2col::lenet::LENET, &data, options).unwrap();
        for _ in 0..3 {
            loop {
                let here = *trainer.position();
                assert_eq!(trainer.contradiction(&here), None, "{here:?}");
                for counter in ["epoch", "batch", "step", "epoch_draws", "draws", "totals/images"] {
                    let given = serde_json::to_value(here).unwrap();
                    let given = given.pointer(&format!("/{counter}")).unwrap().as_u64().unwrap();
                    for wrong in [given + 1, given.wrapping_sub(1), u64::MAX] {
                        let there = position(&format!("/{counter} {wrong}"), &here);
                        assert_ne!(trainer.contradiction(&there), None, "{there:?}");
                    }
                }
                if trainer.next_batch().unwrap().is_none() {
                    break;
                }
            }
            trainer.end_epoch();
        }
    }
}

#[test]
fn the_counter_that_is_wrong_is_named() {
    let data = crate::dataset::Dataset::new([1, 28, 28], vec![0; 10 * 784], vec![0; 10]).unwrap();
    let options = Options { epochs: 3, batch: 4, ..Options::default() };
    let mut trainer = Trainer::new(im2col::lenet::LENET, &data, options).unwrap();
    trainer.epoch(|_| ()).unwrap();
    trainer.next_batch().unwrap();
    let here = *trainer.position();
    let draws = here.draws;
    for (wrong, counter, required) in [
        ("/epoch 4", "epoch", "at most 3"),
        ("/batch 4", "batch", "at most 3"),
        ("/step 7", "step", "4"),
        ("/epoch_draws 7", "epoch_draws", &*(draws - 9).to_string()),
        ("/draws 7", "draws", &*draws.to_string()),
        ("/totals/images 7", "totals.images", "4"),
        ("/totals/correct 5", "totals.correct", "at most 4"),
        ("/totals/loss -5.0", "totals.loss", "at least 0"),
    ] {
        let given = wrong.split_once(' ').unwrap().1.trim_end_matches(".0");
        let expected = Contradiction::new(counter, required, given);
        assert_eq!(trainer.contradiction(&position(wrong, &here)), Some(expected));
    }
    let none_yet =
        position("/totals/loss 0.5", &Trainer::new(im2col::lenet::LENET, &data, options).unwrap().position);
    assert_eq!(
        trainer.contradiction(&none_yet),
        Some(Contradiction::new("totals.loss", "0 of no images", "0.5"))
    );
    // Out of turn.
    trainer.step(&[0]).unwrap();
    assert_eq!(trainer.contradiction(trainer.position()), Some(Contradiction::new("step", "4", "5")));
}
