import Testing

@testable import LifelineServer

@Suite("What execve(2) makes of a file")
struct ProgramFormatTests {
    private static let scripts: [(String, String, String)] = [
        ("#!/bin/sh\necho", "/bin/sh", ""), ("#! /bin/sh -e\n", "/bin/sh", "-e"), ("#!\t/bin/sh", "/bin/sh", ""),
        ("#!/usr/bin/env  python3 -u\n", "/usr/bin/env", "python3 -u"),
    ]

    @Test("A script names its interpreter, and the rest of the line is one argument", arguments: scripts)
    func script(_ text: String, _ interpreter: String, _ argument: String) {
        #expect(ProgramFormat(Array(text.utf8)) == .script(interpreter: interpreter, argument: argument))
    }

    @Test("A text without #! is one for /bin/sh")
    func text() {
        for text in ["echo hello\n", "# a comment\necho\n", "\n", "echo"] {
            #expect(ProgramFormat(Array(text.utf8)) == .shellText)
        }
    }

    private static let wrecks: [([UInt8], String)] = [
        ([], "is empty"), (Array("#!\n".utf8), "no interpreter"), (Array("#!/bin/sh\r\necho\r\n".utf8), "'/bin/sh'"),
        (Array("#!/usr/bin/env python3\r\n".utf8), "'/usr/bin/env'"),
        (Array("echo hello\r\n".utf8), "line ends of Unix"),
        ([0xEF, 0xBB, 0xBF] + Array("#!/bin/sh\n".utf8), "byte order mark"),
        ([0xFF, 0xFE, 0x23, 0, 0x21, 0], "neither a program nor a script"), ([0x1F, 0x8B, 8, 0, 0], "neither"),
        (Array("#!/\(String(repeating: "x", count: 300))\n".utf8), "more than 255"),
        ([0x7F, 0x45, 0x4C, 0x46], "damaged"),
    ]

    @Test("What cannot run is said in words that follow the file's name", arguments: wrecks)
    func unusable(_ head: [UInt8], _ words: String) {
        guard case .unusable(let why) = ProgramFormat(head) else {
            Issue.record("\(ProgramFormat(head))"); return
        }
        #expect(why.contains(words))
    }

    private static let lookups: [(String, String, String?)] = [
        ("/usr/bin/env", "python3", "python3"), ("/usr/bin/env", "-S python3 -u", "python3"),
        ("/usr/bin/env", "-Spython3", "python3"), ("/usr/bin/env", "--split-string=X=1 python3", "python3"),
        ("/usr/bin/env", "-S A=1 B=2 awk -f", "awk"), ("/usr/bin/env", "python3 -u", "python3 -u"),
        ("/usr/bin/env", "", nil), ("/usr/bin/env", "-S -i python3", nil), ("/bin/sh", "python3", nil),
    ]

    @Test("What env(1) looks up in PATH", arguments: lookups)
    func lookup(_ interpreter: String, _ argument: String, _ name: String?) {
        #expect(ProgramFormat.lookedUp(by: interpreter, argument) == name)
    }

    /// The head of an ELF file with one program header, PT_INTERP.
    private func elf(bits: UInt8, order: UInt8, machine: UInt8, loader: String) -> [UInt8] {
        func word(_ value: Int, _ size: Int) -> [UInt8] {
            let little = (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
            return order == 1 ? little : little.reversed()
        }
        let (header, address, entry) = bits == 2 ? (64, 8, 56) : (52, 4, 32)
        var head: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, bits, order, 1] + [UInt8](repeating: 0, count: 9)
        head += word(2, 2) + word(Int(machine), 2) + word(1, 4) + word(0, address) + word(header, address)
        head += word(0, address) + word(0, 4) + word(header, 2) + word(entry, 2) + word(1, 2)
        head += [UInt8](repeating: 0, count: header - head.count)
        head += word(3, 4) + (bits == 2 ? word(4, 4) : []) + word(header + entry, address)
        head += [UInt8](repeating: 0, count: header + entry - head.count)
        return head + Array(loader.utf8) + [0]
    }

    @Test("Machine code names its processor and its loader", arguments: [1, 2] as [UInt8], [1, 2] as [UInt8])
    func machineCode(_ bits: UInt8, _ order: UInt8) {
        let kind = ProgramFormat.ProcessorKind(wordClass: bits, byteOrder: order, machine: 62)
        #expect(
            ProgramFormat(elf(bits: bits, order: order, machine: 62, loader: "/lib/ld.so"))
                == .machineCode(kind, loader: "/lib/ld.so"))
    }

    @Test("A processor runs its own code, and that of its 32-bit ancestor")
    func kinds() {
        let x86 = ProgramFormat.ProcessorKind(wordClass: 2, byteOrder: 1, machine: 62)
        let i386 = ProgramFormat.ProcessorKind(wordClass: 1, byteOrder: 1, machine: 3)
        let arm = ProgramFormat.ProcessorKind(wordClass: 2, byteOrder: 1, machine: 183)
        #expect(x86.runs(x86) && x86.runs(i386) && !x86.runs(arm) && !arm.runs(i386) && !i386.runs(x86))
    }

    @Test("Every cut of a head is judged without a fault")
    func cuts() {
        let head = elf(bits: 2, order: 1, machine: 62, loader: "/lib/ld.so")
        for count in 0...head.count { _ = ProgramFormat(Array(head.prefix(count))) }
    }
}
