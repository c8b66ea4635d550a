//! Reads handwritten digits.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod on_the_machine {
    use im2col_firmware::classify::{Memory, run};
    use im2col_firmware::machine::{Counter, Debugger, exit};

    #[cortex_m_rt::entry]
    fn main() -> ! {
        static mut MEMORY: Memory = Memory::new();
        let (Some(mut debugger), Some(mut counter)) = (Debugger::new(), Counter::new()) else { exit(false) };
        let right = run(MEMORY, &mut debugger, || counter.toggle());
        debugger.line("inference", counter.most(), "instructions at most");
        debugger.memory();
        exit(right > 0);
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    use im2col_firmware::classify::{Memory, run};
    use im2col_firmware::console::Standard;

    run(&mut Memory::new(), &mut Standard, || ());
}
