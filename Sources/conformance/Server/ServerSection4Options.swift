import RawWire

/// Section 4.12: options.
extension Case<ServerBench> {
    private static func option(_ tag: UInt16, _ value: [UInt8]) -> [UInt8] { RawFrame.option(tag, value) }
    private static func token(_ count: Int) -> [UInt8] { option(1, [UInt8](repeating: 0xFF, count: count)) }
    private static func agent(_ name: String) -> [UInt8] { option(3, Array(name.utf8)) }
    private static let name64 = String(repeating: "n", count: 64)

    static let options = numbered(
        "4.12",
        [1, 2, 3].map {
            .refuse(
                "4.12-1", "\($0) bytes behind the last option",
                greeting(RawFrame.name("a") + [UInt8](repeating: 0, count: $0)))
        },
        [
            .refuse("4.12-1", "NAME that reaches beyond the end", greeting([0, 2, 0, 5, 0x61])),
            .refuse("4.12-1", "An unknown option that reaches beyond the end", greeting([0x70, 0, 0xFF, 0xFF])),
            .refuse(
                "4.12-1", "An option one byte longer than what is left", greeting(option(0x101, [1]) + [0, 3, 0, 1])),
            .refuse("4.12-2", "TOKEN twice", greeting(token(1) + token(1))),
            .refuse("4.12-2", "NAME twice", greeting(RawFrame.name("a") + RawFrame.name("a"))),
            .refuse("4.12-2", "AGENT twice, with others between,", greeting(agent("a") + option(9, []) + agent("b"))),
            .refuse("4.12-3", "TOKEN of 257 bytes", greeting(token(257))),
            greets("4.12-3", "TOKEN of 256 bytes", .hello(options: token(256))),
            .refuse("4.12-4", "NAME of 65 bytes", greeting(RawFrame.name(name64 + "n"))),
            greets("4.12-4", "NAME of 64 bytes", .hello(options: RawFrame.name(name64))),
            greets("4.12-1", "empty TOKEN, NAME and AGENT", .hello(options: token(0) + RawFrame.name("") + agent(""))),
            greets(
                "4.12-1", "AGENT of 1000 bytes, 1024 in all,",
                .hello(options: agent(String(repeating: "a", count: 1000)))),
            greets("4.12-1", "options in any order", .hello(options: agent("a") + token(1) + RawFrame.name("n"))),
        ],
        ([0x8000, 0x8001, 0xFFFF] as [UInt16]).flatMap { tag -> [Case] in
            let name = String(tag, radix: 16)
            return [
                .refuse("4.12-5", "The option 0x\(name)", greeting(option(tag, [1])), .unsupportedOption),
                .of("4.12-5", "The text of CLOSE names the option 0x\(name)") { bench in
                    let peer = try bench.connect()
                    try bench.send(greeting(option(tag, [])), on: peer)
                    try peer.takePreface()
                    let text = String(decoding: try peer.takeClose().text, as: UTF8.self).lowercased()
                    bench.expect(
                        text.contains(name) || text.contains("\(tag)"), "the tag in the text", got: "'\(text)'")
                },
            ]
        },
        ([0, 6, 0x7FFF] as [UInt16]).map {
            greets("4.12-6", "the unknown option \($0), twice", .hello(options: option($0, [1, 2]) + option($0, [])))
        },
        [
            .refuse(
                "9-1", "Of an unknown option and a NAME that is too long the first decides: it",
                greeting(option(0x8001, []) + RawFrame.name(name64 + "n")), .unsupportedOption),
            .refuse(
                "9-1", "Of a NAME that is too long and an unknown option the first decides: it",
                greeting(RawFrame.name(name64 + "n") + option(0x8001, []))),
            greets("4.12-8", "a TOKEN, though the server asks for none,", .hello(options: token(32))),
            .refuse("4.12-2", "CREDIT twice", greeting(RawFrame.credit(from: 9) + RawFrame.credit(from: 9))),
            .refuse("4.12-2", "ANSWERS twice", greeting(RawFrame.answers() + RawFrame.answers())),
            .refuse(
                "4.12-10", "ANSWERS with max_in_flight 0",
                RawFrame.preface + RawFrame.hello(minor: 1, options: RawFrame.answers(maxInFlight: 0)).bytes),
            .refuse(
                "4.12-10", "ANSWERS with max_in_flight 0 in a HELLO of 1.0",
                greeting(RawFrame.answers(maxInFlight: 0))),
            greets(
                "4.12-10", "ANSWERS with the least numbers, and CREDIT with the limit 0,",
                .hello(minor: 1, options: RawFrame.answers(maxInFlight: 1, maxQueued: 0) + RawFrame.credit(from: 0))),
            greets(
                "4.12-9", "CREDIT and ANSWERS with the greatest numbers",
                .hello(
                    minor: 1,
                    options: RawFrame.answers(maxInFlight: .max, maxQueued: .max) + RawFrame.credit(from: .max))),
        ],
        [(4, "CREDIT"), (5, "ANSWERS")].flatMap { (tag: UInt16, name: String) in
            [(0, 1, 0), (7, 1, 0), (9, 1, 0), (4, 0, 0), (12, 1, 1)].map {
                (count: Int, minor: UInt8, flags: UInt16) in
                let value = [UInt8](repeating: 1, count: count)
                return .refuse(
                    "4.12-9", "\(name) of \(count) bytes in a HELLO of 1.\(minor)\(flags == 0 ? "" : " with SHORT")",
                    RawFrame.preface
                        + RawFrame.hello(minor: minor, flags: flags, options: option(tag, value)).bytes)
            }
        })
}
