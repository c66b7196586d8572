//! Classic BPF programs as values: a small assembler, and a disassembler for `peerlab plan`.
//!
//! Classic BPF is what `cls_bpf` and `SO_ATTACH_FILTER` take without the bpf(2) system call, also in a user
//! namespace. Offsets count from the destination MAC address, in both. Jumps go forward only, which is why a
//! program always ends.
//!
//! **Invariant:** pure; a [`Program`] is complete and every jump of it lands inside it.

pub mod programs;

use std::fmt;

/// One instruction, as the kernel's `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation: class, size or operator, mode.
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// A complete program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    instructions: Vec<Instruction>,
}

impl Program {
    /// The instructions, at most 4096.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The instructions as the bytes of a `struct sock_filter` array in this machine's order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.instructions.len() * 8);
        for instruction in &self.instructions {
            bytes.extend(instruction.code.to_ne_bytes());
            bytes.extend([instruction.jt, instruction.jf]);
            bytes.extend(instruction.k.to_ne_bytes());
        }
        bytes
    }
}

/// Prints like `tcpdump -d`, one instruction a line, with the absolute targets of jumps.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, instruction) in self.instructions.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            let Instruction { code, jt, jf, k } = *instruction;
            let text = mnemonic(code, k);
            let is_jump = code & 0x07 == 0x05;
            match (is_jump, code == op::JA) {
                (true, true) => write!(f, "({at:03}) ja       {}", at + 1 + k as usize)?,
                (true, false) => write!(
                    f,
                    "({at:03}) {text:<24} jt {} jf {}",
                    at + 1 + usize::from(jt),
                    at + 1 + usize::from(jf)
                )?,
                (false, _) => write!(f, "({at:03}) {text}")?,
            }
        }
        Ok(())
    }
}

/// A place in a program that is still being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(usize);

/// Writes a program: instructions in order, with labels for what comes later.
#[derive(Debug, Default)]
pub struct Assembler {
    instructions: Vec<Instruction>,
    /// Where each label was placed.
    labels: Vec<Option<usize>>,
    /// Jumps whose targets are not yet known: the jump, where to when true, where to when false.
    jumps: Vec<(usize, Option<Label>, Option<Label>)>,
}

impl Assembler {
    /// An empty program.
    pub fn new() -> Assembler {
        Assembler::default()
    }

    /// A label to jump to; it must be placed later.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Gives the next instruction this label.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.instructions.len());
    }

    /// Adds an instruction that is no jump.
    pub fn push(&mut self, code: u16, k: u32) {
        self.instructions.push(Instruction {
            code,
            jt: 0,
            jf: 0,
            k,
        });
    }

    /// Goes to `target` whatever the registers hold.
    pub fn jump(&mut self, target: Label) {
        self.jumps
            .push((self.instructions.len(), Some(target), None));
        self.push(op::JA, 0);
    }

    /// Goes to `target` when the condition `code` holds against `k`, else to the next instruction.
    pub fn jump_if(&mut self, code: u16, k: u32, target: Label) {
        self.jumps
            .push((self.instructions.len(), Some(target), None));
        self.push(code, k);
    }

    /// Goes to `target` unless the condition `code` holds against `k`.
    pub fn jump_unless(&mut self, code: u16, k: u32, target: Label) {
        self.jumps
            .push((self.instructions.len(), None, Some(target)));
        self.push(code, k);
    }

    /// The complete program.
    ///
    /// # Panics
    /// When a label was not placed after its jump, or a conditional jump is longer than 255 instructions: both
    /// are mistakes of the code that writes the program, whatever its parameters.
    pub fn finish(mut self) -> Program {
        for (from, when_true, when_false) in self.jumps {
            let skip = |label: Label| {
                let place = self.labels[label.0].expect("a label is placed before the end");
                place
                    .checked_sub(from + 1)
                    .expect("a label is placed after its jump")
            };
            let narrow = |skip: usize| u8::try_from(skip).expect("a conditional jump is short");
            let instruction = &mut self.instructions[from];
            if instruction.code == op::JA {
                instruction.k = when_true.map_or(0, skip) as u32;
            } else {
                instruction.jt = when_true.map_or(0, |label| narrow(skip(label)));
                instruction.jf = when_false.map_or(0, |label| narrow(skip(label)));
            }
        }
        Program {
            instructions: self.instructions,
        }
    }
}

/// Operation codes (linux/bpf_common.h and linux/filter.h), named as in `tcpdump -d`.
///
/// The machine has an accumulator A, an index register X and sixteen words of memory.
pub mod op {
    /// A ← constant.
    pub const LD_IMM: u16 = 0x00;
    /// A ← length of the frame.
    pub const LD_LEN: u16 = 0x80;
    /// A ← four bytes at k.
    pub const LD: u16 = 0x20;
    /// A ← two bytes at k.
    pub const LDH: u16 = 0x28;
    /// A ← the byte at k.
    pub const LDB: u16 = 0x30;
    /// A ← four bytes at X + k.
    pub const LD_IND: u16 = 0x40;
    /// A ← two bytes at X + k.
    pub const LDH_IND: u16 = 0x48;
    /// A ← memory k.
    pub const LD_MEM: u16 = 0x60;
    /// X ← constant.
    pub const LDX_IMM: u16 = 0x01;
    /// X ← 4 × (byte at k & 15): the length of an IPv4 header.
    pub const LDX_MSH: u16 = 0xb1;
    /// Memory k ← A.
    pub const ST: u16 = 0x02;
    /// A ← A + k.
    pub const ADD: u16 = 0x04;
    /// A ← A × k.
    pub const MUL: u16 = 0x24;
    /// A ← A modulo k.
    pub const MOD: u16 = 0x94;
    /// A ← A >> k.
    pub const RSH: u16 = 0x74;
    /// A ← A >> X.
    pub const RSH_X: u16 = 0x7c;
    /// A ← A & k.
    pub const AND: u16 = 0x54;
    /// A ← A xor X.
    pub const XOR_X: u16 = 0xac;
    /// X ← A.
    pub const TAX: u16 = 0x07;
    /// A ← X.
    pub const TXA: u16 = 0x87;
    /// Go on k instructions later.
    pub const JA: u16 = 0x05;
    /// Is A = k?
    pub const JEQ: u16 = 0x15;
    /// Is A > k?
    pub const JGT: u16 = 0x25;
    /// Is A ≥ k?
    pub const JGE: u16 = 0x35;
    /// Is A ≥ X?
    pub const JGE_X: u16 = 0x3d;
    /// Is A & k not 0?
    pub const JSET: u16 = 0x45;
    /// End with the value k.
    pub const RET: u16 = 0x06;

    /// Address of the random number extension (`SKF_AD_OFF + SKF_AD_RANDOM`), for [`LD`].
    pub const RANDOM: u32 = (-0x1000_i32 + 56) as u32;
}

/// The words of one instruction, without jump targets.
fn mnemonic(code: u16, k: u32) -> String {
    match code {
        op::LD if k == op::RANDOM => "ld       [random]".into(),
        op::LD => format!("ld       [{k}]"),
        op::LDH => format!("ldh      [{k}]"),
        op::LDB => format!("ldb      [{k}]"),
        op::LD_IND => format!("ld       [x + {k}]"),
        op::LDH_IND => format!("ldh      [x + {k}]"),
        op::LD_IMM => format!("ld       #{k:#x}"),
        op::LD_LEN => "ld       #len".into(),
        op::LD_MEM => format!("ld       M[{k}]"),
        op::LDX_IMM => format!("ldx      #{k:#x}"),
        op::LDX_MSH => format!("ldxb     4*([{k}]&0xf)"),
        op::ST => format!("st       M[{k}]"),
        op::ADD => format!("add      #{k}"),
        op::MUL => format!("mul      #{k:#x}"),
        op::MOD => format!("mod      #{k}"),
        op::RSH => format!("rsh      #{k}"),
        op::RSH_X => "rsh      x".into(),
        op::AND => format!("and      #{k:#x}"),
        op::XOR_X => "xor      x".into(),
        op::TAX => "tax".into(),
        op::TXA => "txa".into(),
        op::JA => "ja".into(),
        op::JEQ => format!("jeq      #{k:#x}"),
        op::JGT => format!("jgt      #{k:#x}"),
        op::JGE => format!("jge      #{k:#x}"),
        op::JGE_X => "jge      x".into(),
        op::JSET => format!("jset     #{k:#x}"),
        op::RET => format!("ret      #{k:#x}"),
        // Programs are written with the names above; a code without a name is shown as it is.
        other => format!(".code {other:#06x}, #{k:#x}"),
    }
}
