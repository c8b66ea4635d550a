//! Learns handwritten digits.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod on_the_machine {
    use im2col_firmware::learn::{Memory, run};
    use im2col_firmware::machine::{Counter, Debugger, exit};

    #[cortex_m_rt::entry]
    fn main() -> ! {
        static mut MEMORY: Memory = Memory::new();
        let (Some(mut debugger), Some(mut counter)) = (Debugger::new(), Counter::new()) else { exit(false) };
        let is_less = run(MEMORY, &mut debugger, || counter.toggle());
        debugger.line("step", counter.most(), "instructions at most");
        debugger.memory();
        exit(is_less == Ok(true));
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    use im2col_firmware::console::Standard;
    use im2col_firmware::learn::{Memory, run};

    static MEMORY: std::sync::Mutex<Memory> = std::sync::Mutex::new(Memory::new());
    let mut memory = MEMORY.lock().expect("nobody else has it");
    assert_eq!(run(&mut memory, &mut Standard, || ()), Ok(true), "the loss has not gone down");
}
