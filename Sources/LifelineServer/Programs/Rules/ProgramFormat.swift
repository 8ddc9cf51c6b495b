/// What execve(2) makes of a file, by its first bytes.
enum ProgramFormat: Equatable {
    /// A script: the path of its interpreter, and the rest of its first line.
    case script(interpreter: String, argument: String)
    /// A text without `#!`, which runs in /bin/sh (execvp(3)).
    case shellText
    /// Machine code in ELF (elf(5)) for a kind of processor, and the loader that it names.
    case machineCode(ProcessorKind, loader: String?)
    /// Something that cannot run, and why.
    case unusable(String)

    /// A kind of processor: the class, the byte order and the machine of elf(5).
    struct ProcessorKind: Equatable {
        let wordClass: UInt8
        let byteOrder: UInt8
        let machine: UInt16

        /// Whether a processor of this kind runs code for `other`: as a rule its own alone, or its 32-bit ancestor's.
        func runs(_ other: ProcessorKind) -> Bool {
            self == other || [[62, 3], [183, 40]].contains([machine, other.machine]) && byteOrder == other.byteOrder
        }
    }

    /// How many bytes of a file are looked at. The kernel reads 256 of a script.
    static let headSize = 4096
    private static let longestLine = 255

    /// Judges a file by its first `headSize` bytes.
    init(_ head: [UInt8]) {
        let line = head.prefix { $0 != 0x0A }
        if head.isEmpty {
            self = .unusable("is empty")
        } else if head.starts(with: [0x7F, 0x45, 0x4C, 0x46]) {
            self = ProgramFormat.elf(head)
        } else if head.starts(with: [0xEF, 0xBB, 0xBF]) {
            self = .unusable("begins with a byte order mark: save it as UTF-8 without one")
        } else if line.contains(0) {
            self = .unusable("is neither a program nor a script")
        } else if line.last == 0x0D {
            let named =
                line.starts(with: [0x23, 0x21]) ? ProgramFormat.script(line.dropFirst(2).dropLast()) : .shellText
            let interpreter = if case .script(let path, _) = named { "names '\(path)'" } else { "ends" }
            self = .unusable(
                "has a first line that \(interpreter) with a carriage return behind it: save it with the line ends of Unix"
            )
        } else if line.starts(with: [0x23, 0x21]) {
            self = ProgramFormat.script(line.dropFirst(2))
        } else {
            self = .shellText
        }
    }

    private static func script(_ line: ArraySlice<UInt8>) -> ProgramFormat {
        guard line.count + 2 <= longestLine else {
            return .unusable("has a first line of more than \(longestLine) bytes, which the kernel does not read")
        }
        let words = String(decoding: line, as: UTF8.self).split(maxSplits: 1) { $0 == " " || $0 == "\t" }
        guard let interpreter = words.first else { return .unusable("names no interpreter behind #!") }
        let argument = words.dropFirst().first.map { $0.drop { $0 == " " || $0 == "\t" } } ?? ""
        return .script(interpreter: String(interpreter), argument: String(argument))
    }

    /// The program that the interpreter looks up in PATH, where it is env(1); nil where it is another, or names none.
    static func lookedUp(by interpreter: String, _ argument: String) -> String? {
        guard interpreter == "env" || interpreter.hasSuffix("/env") else { return nil }
        var words = argument.split { $0 == " " || $0 == "\t" }.map(String.init)
        if let first = words.first, first.hasPrefix("-S") || first.hasPrefix("--split-string") {
            words.removeFirst()
            if first.hasPrefix("-S"), first.count > 2 { words.insert(String(first.dropFirst(2)), at: 0) }
        } else if words.count > 1, !words[0].hasPrefix("-") {
            return argument  // Without -S the words are one name.
        }
        let name = words.first { !$0.contains("=") }
        return name.map { $0.hasPrefix("-") } ?? true ? nil : name
    }

    // MARK: ELF

    private static func elf(_ head: [UInt8]) -> ProgramFormat {
        guard head.count >= 52, (1...2).contains(head[4]), (1...2).contains(head[5]) else {
            return .unusable("is a damaged program")
        }
        let is64 = head[4] == 2
        func number(at offset: Int, _ size: Int) -> Int? {
            guard offset >= 0, offset + size <= head.count else { return nil }
            let bytes = head[offset..<(offset + size)]
            let ordered = head[5] == 2 ? Array(bytes) : bytes.reversed()
            return Int(truncatingIfNeeded: ordered.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        }
        let kind = ProcessorKind(
            wordClass: head[4], byteOrder: head[5], machine: UInt16(truncatingIfNeeded: number(at: 18, 2) ?? 0))
        guard let table = number(at: is64 ? 32 : 28, is64 ? 8 : 4), table < headSize,
            let size = number(at: is64 ? 54 : 42, 2), let count = number(at: is64 ? 56 : 44, 2)
        else { return .machineCode(kind, loader: nil) }
        for entry in 0..<count {
            let start = table + entry * size
            // PT_INTERP: the path of the loader, with a zero behind it.
            guard number(at: start, 4) == 3, let offset = number(at: start + (is64 ? 8 : 4), is64 ? 8 : 4),
                offset >= 0, offset < head.count
            else { continue }
            let path = head[offset...].prefix { $0 != 0 }
            if path.endIndex < head.count { return .machineCode(kind, loader: String(decoding: path, as: UTF8.self)) }
        }
        return .machineCode(kind, loader: nil)
    }
}
