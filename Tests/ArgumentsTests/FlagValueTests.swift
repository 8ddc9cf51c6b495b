import Testing

@testable import Arguments

/// The error of `body`, or nil.
func error(_ body: () throws(UsageError) -> Void) -> String? {
    do {
        try body()
        return nil
    } catch {
        return error.description
    }
}

@Suite("Values of flags")
struct ValueTests {
    @Test(
        "Durations with and without a unit",
        arguments: [
            ("30", .seconds(30)), ("0", .zero), ("2.5", .milliseconds(2500)), ("500ms", .milliseconds(500)),
            ("0.5ms", .microseconds(500)), ("2m", .seconds(120)), ("1.5m", .seconds(90)), ("1h", .seconds(3600)),
            ("30s", .seconds(30)), (".5", .milliseconds(500)), ("5.", .seconds(5)), ("007", .seconds(7)),
            ("4294967.295", .milliseconds(4_294_967_295)),
        ] as [(String, Duration)])
    func durations(text: String, expected: Duration) throws {
        #expect(try FlagValue.duration(text) == expected)
    }

    @Test(
        "What is no duration is refused, and what is expected is told",
        arguments: [
            "", "ms", "s", "-1", "+1", "1e3", "0x10", "1 s", " 1", "1d", "1,5", "1.2.3", ".", "inf", "nan", "1ss",
            "٣", "½", "1h30m", "999999999999999999999", "1S",
        ])
    func noDurations(text: String) {
        let message = error { () throws(UsageError) in _ = try FlagValue.duration(text) }
        #expect(message == "'\(text)' is not a duration like 30, 2.5, 500ms, 2m or 1h")
    }

    @Test("Durations keep to their bounds, both included")
    func durationBounds() throws {
        let range = Duration.milliseconds(100)...Duration.seconds(60)
        #expect(try FlagValue.duration("100ms", in: range) == .milliseconds(100))
        #expect(try FlagValue.duration("1m", in: range) == .seconds(60))
        for text in ["99.9ms", "60.001", "0"] {
            let message = error { () throws(UsageError) in _ = try FlagValue.duration(text, in: range) }
            #expect(message == "'\(text)' is not between 100ms and 60")
        }
    }

    @Test(
        "A duration that is told reads as the same",
        arguments: ["100ms", "1500ms", "1", "60", "4294967295ms", "0ms", "1193h", "25h"])
    func described(text: String) throws {
        let duration = try FlagValue.duration(text)
        #expect(try FlagValue.duration(FlagValue.describe(duration)) == duration)
        #expect(FlagValue.describe(.zero) == "0" && FlagValue.describe(.seconds(1193 * 3600)) == "1193h")
    }

    @Test("Whole numbers keep to their bounds, both included")
    func integers() throws {
        #expect(try FlagValue.integer("0", in: 0...UInt16.max) == 0)
        #expect(try FlagValue.integer("65535", in: 0...UInt16.max) == 65535)
        #expect(try FlagValue.integer("-5", in: -5...5) == -5)
        for text in ["65536", "-1", "", "1.0", "0x1", "a", " 1", "1 ", "99999999999999999999999"] {
            let message = error { () throws(UsageError) in _ = try FlagValue.integer(text, in: 0...UInt16.max) }
            #expect(message == "'\(text)' is not a whole number from 0 to 65535")
        }
        #expect(error { () throws(UsageError) in _ = try FlagValue.integer("4", in: 5...9) } != nil)
        #expect(error { () throws(UsageError) in _ = try FlagValue.integer("10", in: 5...9) } != nil)
    }

    @Test(
        "Numbers of bytes",
        arguments: [
            ("16384", 16384), ("16k", 16384), ("16K", 16384), ("1m", 1 << 20), ("1M", 1 << 20), ("0", 0),
            ("4294967295", .max), ("4095m", 4095 << 20), ("3g", 3 << 30), ("1G", 1 << 30),
        ] as [(String, UInt32)])
    func sizes(text: String, expected: UInt32) throws {
        #expect(try FlagValue.size(text, in: 0...UInt32.max) == expected)
    }

    @Test("A number of bytes is described with the largest unit that divides it")
    func describedSizes() {
        for (bytes, text) in [(0, "0"), (1, "1"), (1000, "1000"), (1024, "1k"), (1536 << 10, "1536k"), (3 << 30, "3g")]
        {
            #expect(FlagValue.describe(bytes: bytes) == text)
        }
    }

    @Test("What is no number of bytes, or out of bounds, is refused")
    func noSizes() throws {
        for text in [
            "", "k", "m", "g", "-1", "1.5k", "1 k", "kk", "1kb",
        ] {
            let message = error { () throws(UsageError) in _ = try FlagValue.size(text, in: 0...UInt32.max) }
            #expect(message == "'\(text)' is not a number of bytes like 16384, 16k, 1m or 2g")
        }
        for text in ["4g", "17179869184g", "4096m", "4294967296", "5000000k"] {
            let message = error { () throws(UsageError) in
                _ = try FlagValue.size(text, in: 0...(1 << 30) as ClosedRange<UInt32>)
            }
            #expect(message == "'\(text)' is not from 0 to 1g bytes")
        }
        #expect(try FlagValue.size("256", in: 256...1024) == 256)
        #expect(try FlagValue.size("1k", in: 256...1024) == 1024)
        #expect(error { () throws(UsageError) in _ = try FlagValue.size("255", in: 256...1024) } != nil)
        #expect(error { () throws(UsageError) in _ = try FlagValue.size("1025", in: 256...1024) } != nil)
    }

    private enum Taste: String, CaseIterable { case sweet, sour }

    @Test("A choice is one of its names, as they are written")
    func choices() throws {
        #expect(try FlagValue.choice("sweet", of: Taste.self) == .sweet)
        #expect(try FlagValue.choice("sour", of: Taste.self) == .sour)
        for (text, hint) in [
            ("", ""), ("Sweet", " (did you mean sweet?)"), ("swete", " (did you mean sweet?)"), ("bitter", ""),
        ] {
            let message = error { () throws(UsageError) in _ = try FlagValue.choice(text, of: Taste.self) }
            #expect(message == "'\(text)' is not one of sweet, sour\(hint)")
        }
    }
}
