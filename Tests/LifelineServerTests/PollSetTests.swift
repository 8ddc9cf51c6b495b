import Basics
import Posix
import Testing

@Suite("The set of descriptors that a loop waits for")
struct PollSetTests {
    private static let atOnce = Instant(sinceStart: .zero)

    @Test("A token finds its own descriptor, whatever stands before it")
    func own() throws {
        let ready = try Descriptor.event()
        let silent = try Descriptor.event()
        ready.wakeUp()
        var set = PollSet()
        set.removeAll(reserving: 3)
        let none = set.add(-1)
        let first = set.add(silent.number)
        let second = set.add(ready.number)
        try set.wait(until: PollSetTests.atOnce)
        #expect(!set.isReadable(none) && !set.isReadable(first) && set.isReadable(second))
        #expect(!set.isWritable(none) && !set.isWritable(first) && !set.isWritable(second))
    }

    @Test("A descriptor is ready for what was waited for, and for nothing else")
    func directions() throws {
        let event = try Descriptor.event()
        event.wakeUp()
        var set = PollSet()
        set.removeAll()
        let reading = set.add(event.number, reading: true, writing: false)
        let writing = set.add(event.number, reading: false, writing: true)
        let neither = set.add(event.number, reading: false, writing: false)
        try set.wait(until: PollSetTests.atOnce)
        #expect(set.isReadable(reading) && !set.isWritable(reading))
        #expect(!set.isReadable(writing) && set.isWritable(writing))
        #expect(!set.isReadable(neither) && !set.isWritable(neither))
    }

    @Test("A token of an earlier turn stands for nothing, and no token neither")
    func stale() throws {
        let event = try Descriptor.event()
        event.wakeUp()
        var set = PollSet()
        set.removeAll()
        let old = set.add(event.number)
        try set.wait(until: PollSetTests.atOnce)
        #expect(set.isReadable(old))
        set.removeAll()
        #expect(!set.isReadable(old), "nothing is in the set")
        let new = set.add(event.number)
        try set.wait(until: PollSetTests.atOnce)
        #expect(set.isReadable(new))
        #expect(!set.isReadable(old), "another descriptor has its place")
        #expect(!set.isReadable(nil) && !set.isWritable(nil))
    }

    @Test("The wait ends at its deadline, not before")
    func deadline() throws {
        let event = try Descriptor.event()
        var set = PollSet()
        set.removeAll()
        let token = set.add(event.number)
        let begun = Instant.now
        try set.wait(until: begun + .milliseconds(20))
        #expect(.now - begun >= .milliseconds(20))
        #expect(!set.isReadable(token))
    }
}
