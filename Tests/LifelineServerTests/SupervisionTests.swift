import Basics
import Framing
import Posix
import Testing

@testable import LifelineServer

@Suite("What the server has to do with its supervisor")
struct SupervisionTests {
    @Test("Notes are written as sd_notify(3) writes them")
    func notes() {
        #expect(NotifyMessage.ready(address: "[::]:7400").text == "READY=1\nSTATUS=listening on [::]:7400")
        #expect(NotifyMessage.serving(connections: 1).text == "STATUS=serving 1 connection")
        #expect(NotifyMessage.serving(connections: 0).text == "STATUS=serving 0 connections")
        #expect(NotifyMessage.stopping(connections: 2).text == "STOPPING=1\nSTATUS=stopping, 2 connections left")
        #expect(NotifyMessage.alive.text == "WATCHDOG=1")
    }

    @Test("WATCHDOG_USEC counts for the process that WATCHDOG_PID names, or for any where it names none")
    func watchdogWish() {
        func wish(_ microseconds: String?, _ pid: String?) -> Duration? {
            ServiceEnvironment.watchdog(microseconds: microseconds, pid: pid, own: 42)
        }
        #expect(wish("3000000", "42") == .seconds(3) && wish("3000000", nil) == .seconds(3))
        #expect(wish("3000000", "43") == nil && wish(nil, "42") == nil)
        for text in ["", "0", "-1", "soon", "18446744073709551615"] { #expect(wish(text, nil) == nil) }
    }

    @Test("LISTEN_FDS counts for the process that LISTEN_PID names alone")
    func listenWish() {
        func wish(_ count: String?, _ pid: String?) -> Int {
            ServiceEnvironment.listeners(count: count, pid: pid, own: 42)
        }
        #expect(wish("1", "42") == 1 && wish("2", "42") == 2)
        #expect(wish("1", "43") == 0 && wish("1", nil) == 0)
        for text in [nil, "", "0", "-3", "many"] { #expect(wish(text, "42") == 0) }
    }

    private func turned(_ watchdog: inout Watchdog, _ moment: Double) -> Bool { watchdog.turned(at: at(moment)) }

    @Test("A watchdog is told twice as often as it waits, and once each time")
    func watchdog() {
        var watchdog = Watchdog(patience: .seconds(10), at: at(0))
        #expect(turned(&watchdog, 0) && !turned(&watchdog, 0))
        #expect(watchdog.due == at(5000))
        #expect(!turned(&watchdog, 4999) && turned(&watchdog, 5000))
        // A turn that came late is one turn.
        #expect(turned(&watchdog, 30_000) && !turned(&watchdog, 30_001))
    }

    @Test("It is told no more when accept has done nothing but fail for as long as it waits, until one succeeds")
    func failingAccept() {
        var watchdog = Watchdog(patience: .seconds(10), at: at(0))
        watchdog.acceptFailed(at: at(0))
        watchdog.acceptFailed(at: at(9000))
        #expect(turned(&watchdog, 9999))
        #expect(!turned(&watchdog, 15_000) && !turned(&watchdog, 20_000))
        watchdog.accepted()
        #expect(turned(&watchdog, 25_000))
        watchdog.acceptFailed(at: at(25_001))
        #expect(turned(&watchdog, 31_000))
    }

    @Test("A pidfile may be replaced where it is empty or holds a number; any other file may be precious")
    func pidfile() {
        for text in ["", "1", "4711\n", "99999999999\n", "7 \r\n", "\n"] {
            #expect(Pidfile.mayReplace(Array(text.utf8)), "\(text)")
        }
        for text in ["root:x:0:0\n", "12 34\n", "-1\n", "12a", "\0", String(repeating: "1", count: 32)] {
            #expect(!Pidfile.mayReplace(Array(text.utf8)), "\(text)")
        }
    }

    @Test("What syslogd is sent begins with priority, time, name and process, as syslog(3) writes it")
    func syslog() {
        let time = WallTime(year: 2026, month: 3, day: 7, hour: 4, minute: 5, second: 6, millisecond: 7)
        func header(_ level: LogLevel) -> String {
            TextBuffer.string { SyslogHeader(level: level, program: "server", process: 12, time: time).put(into: &$0) }
        }
        #expect(header(.error) == "<27>Mar  7 04:05:06 server[12]: ")
        #expect(header(.warning).hasPrefix("<28>"))
        #expect(header(.info).hasPrefix("<30>"))
        #expect(header(.debug).hasPrefix("<31>"))
    }
}
