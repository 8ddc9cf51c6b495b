import Testing

@testable import Inheritance

/// What a process decides about what it has inherited: each row of a table is a case.
@Suite struct InheritanceRuleTests {
    struct Disposition: CustomTestStringConvertible {
        let rule: SignalRule, found: FoundDisposition
        var isDaemon = false
        let isIgnored: Bool?
        let note: SignalNote?
        var testDescription: String { "\(rule) \(found)\(isDaemon ? " of a daemon" : "")" }
    }

    @Test(
        "dispositions",
        arguments: [
            Disposition(rule: .wish, found: .standard, isIgnored: false, note: nil),
            Disposition(rule: .wish, found: .ignored, isIgnored: true, note: .kept),
            Disposition(rule: .wish, found: .ignored, isDaemon: true, isIgnored: false, note: .restored),
            Disposition(rule: .needed, found: .standard, isIgnored: false, note: nil),
            Disposition(rule: .needed, found: .ignored, isIgnored: false, note: .restored),
            Disposition(rule: .hidden, found: .ignored, isIgnored: false, note: nil),
            Disposition(rule: .jobControl, found: .standard, isIgnored: false, note: nil),
            Disposition(rule: .jobControl, found: .ignored, isIgnored: true, note: nil),
            Disposition(rule: .unused, found: .standard, isIgnored: true, note: nil),
            Disposition(rule: .unused, found: .ignored, isIgnored: true, note: nil),
            // A handler is the program's, whatever the signal.
            Disposition(rule: .wish, found: .handled, isIgnored: nil, note: nil),
            Disposition(rule: .needed, found: .handled, isIgnored: nil, note: nil),
            Disposition(rule: .unused, found: .handled, isIgnored: nil, note: nil),
        ]) func disposition(_ row: Disposition)
    {
        let decision = row.rule.decide(row.found, isDaemon: row.isDaemon)
        #expect(decision.isIgnored == row.isIgnored)
        #expect(decision.note == row.note)
    }

    struct Limit: CustomTestStringConvertible {
        let soft: UInt64?, hard: UInt64?
        let verdict: LimitRule.Verdict
        var testDescription: String { "soft \(soft.map { "\($0)" } ?? "-") hard \(hard.map { "\($0)" } ?? "-")" }
    }

    @Test(
        "limits: at least 32, enough from 1024 on",
        arguments: [
            Limit(soft: nil, hard: nil, verdict: .keep),
            Limit(soft: 1024, hard: 1024, verdict: .keep),
            Limit(soft: 5000, hard: nil, verdict: .keep),
            Limit(soft: 16, hard: nil, verdict: .set(1024)),
            Limit(soft: 0, hard: 4096, verdict: .set(1024)),
            Limit(soft: 16, hard: 64, verdict: .set(64)),
            Limit(soft: 64, hard: 64, verdict: .keep),
            Limit(soft: 16, hard: 31, verdict: .tooLow(31)),
            Limit(soft: 0, hard: 0, verdict: .tooLow(0)),
        ]) func limit(_ row: Limit)
    {
        #expect(LimitRule(least: 32, enough: 1024).decide(soft: row.soft, hard: row.hard) == row.verdict)
    }

    @Test("a limit below what is enough is raised to what is wanted") func wanted() {
        let rule = LimitRule(least: 256, enough: 1000, wanted: 8000)
        #expect(rule.decide(soft: 999, hard: nil) == .set(8000))
        #expect(rule.decide(soft: 999, hard: 5000) == .set(5000))
        #expect(rule.decide(soft: 1000, hard: 5000) == .keep)
    }

    @Test(
        "processor time, in seconds",
        arguments: [
            Limit(soft: nil, hard: nil, verdict: .keep), Limit(soft: 100, hard: nil, verdict: .keep),
            Limit(soft: 100, hard: 200, verdict: .keep), Limit(soft: 100, hard: 100, verdict: .set(99)),
            Limit(soft: 1, hard: 100, verdict: .tooLow(1)), Limit(soft: 0, hard: nil, verdict: .tooLow(0)),
        ]) func processorTime(_ row: Limit)
    {
        #expect(ProcessorTimeRule.decide(soft: row.soft, hard: row.hard) == row.verdict)
    }

    @Test("stacks of threads: as the limit says, within reason") func stacks() {
        #expect(StackRule.threadStack(soft: nil, memory: nil) == nil)
        #expect(StackRule.threadStack(soft: 8 << 20, memory: nil) == 8 << 20)
        #expect(StackRule.threadStack(soft: 64 << 20, memory: nil) == 64 << 20)
        #expect(StackRule.threadStack(soft: 16 << 10, memory: nil) == 8 << 20)
        #expect(StackRule.threadStack(soft: 1 << 40, memory: nil) == 8 << 20)
        #expect(StackRule.threadStack(soft: 64 << 20, memory: 64 << 20) == 4 << 20)
        #expect(StackRule.threadStack(soft: nil, memory: 4 << 20) == 1 << 20)
        #expect(StackRule.threadStack(soft: 2 << 20, memory: 1 << 40) == 2 << 20)
    }

    @Test("remarks are sentences") func remarks() {
        #expect(
            StartRemark.signals(restored: ["SIGCHLD"], kept: ["SIGINT", "SIGQUIT"]).map(\.text) == [
                "SIGCHLD was ignored at the start, and is no longer",
                "SIGINT and SIGQUIT were ignored at the start, and stay so",
            ])
    }
}
