//! The program: parse the command line, run it, turn its result into an exit code.

fn main() {}
