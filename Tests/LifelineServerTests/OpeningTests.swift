import Basics
import Framing
import Liveness
import Testing

@testable import LifelineServer

@Suite("2, 3.2, 5.8 How a connection opens")
struct OpeningTests {
    @Test("4.2-1 WELCOME follows HELLO at once, without a request")
    func welcome() {
        var conversation = Conversation()
        conversation.receive(Array(hello().dropLast()))
        #expect(conversation.said() == [] && conversation.seen == [])
        conversation.receive([0])
        #expect(conversation.said() == ["LIFELINE", "WELCOME"])
        #expect(conversation.seen == [.opened])
    }

    @Test("3.2-1, 6-6 Requests that come right behind HELLO are answered right behind WELCOME")
    func early() {
        var conversation = Conversation()
        conversation.receive(hello(), request(1, "a"), request(2, "b"))
        #expect(conversation.said() == ["LIFELINE", "WELCOME", "RESPONSE 1 a", "RESPONSE 2 b"])
    }

    @Test("3.2-3, 7.5-1 A wrong preface gets the right one and CLOSE(BAD_PREFACE), at its first wrong byte")
    func badPreface() {
        var conversation = Conversation()
        conversation.receive(text("LIFE"))
        #expect(conversation.said() == [])
        conversation.receive(text("X"))
        #expect(conversation.said() == ["LIFELINE", "CLOSE BAD_PREFACE last 0"])
        #expect(conversation.connection.hasSaidAll)
    }

    @Test("3.3-6, 4.1-2, 4.12-5 A wrong first frame gets the preface and CLOSE, never WELCOME")
    func wrongFirstFrame() {
        let wrong: [([UInt8], String)] = [
            (ping(1), "PROTOCOL_ERROR"), (raw(0x40, flags: 0x80), "PROTOCOL_ERROR"),
            (raw(0x01, [2] + zeros(19)), "UNSUPPORTED_VERSION"), (raw(0x01, length: 1025), "FRAME_TOO_LARGE"),
            (raw(0x01, [1] + zeros(19)), "PROTOCOL_ERROR"),
            (raw(0x01, [1] + zeros(11) + u32(256) + zeros(4) + [0x80, 1, 0, 0]), "UNSUPPORTED_OPTION"),
        ]
        for (frame, code) in wrong {
            var conversation = Conversation()
            conversation.receive(preface, frame, request(1, "a"))
            #expect(conversation.said() == ["LIFELINE", "CLOSE \(code) last 0"])
            #expect(conversation.seen == [])
        }
    }

    @Test("5.8-1, 5.8-3 A handshake that trickles is ended at its time, never earlier")
    func timeout() {
        var conversation = Conversation(handshakeTimeout: .milliseconds(500))
        for (index, byte) in hello().dropLast().enumerated() {
            conversation.receive([byte], at: at(Double(index) * 12))
            #expect(conversation.connection.deadline == at(500))
        }
        conversation.wake(at: Instant(sinceStart: .milliseconds(500) - .nanoseconds(1)))
        #expect(conversation.said() == [])
        conversation.wake(at: at(500))
        #expect(conversation.said() == ["LIFELINE", "CLOSE HANDSHAKE_TIMEOUT last 0"])
    }

    @Test("7.2-1, S4 A stream that ends before its first byte, or before the request, gets CLOSE(NORMAL)")
    func endAtOnce() {
        var healthCheck = Conversation()
        healthCheck.endOfStream()
        #expect(healthCheck.said() == ["LIFELINE", "CLOSE NORMAL last 0"])
        #expect(healthCheck.isOver)
        for short in [true, false] {
            var silent = Conversation.opened(short: short)
            silent.endOfStream()
            #expect(silent.said() == ["CLOSE NORMAL last 0"])
            #expect(silent.isOver)
        }
    }

    @Test("7.2-2 A stream that ends within the preface or HELLO gets CLOSE(PROTOCOL_ERROR)")
    func endWithin() {
        for count in 1..<hello().count {
            var conversation = Conversation()
            conversation.receive(Array(hello()[..<count]))
            conversation.endOfStream()
            #expect(conversation.said() == ["LIFELINE", "CLOSE PROTOCOL_ERROR last 0"], "after \(count) bytes")
            #expect(conversation.isOver)
        }
    }

    @Test("A client that ends before HELLO, and takes nothing, is given up when the time for HELLO is over")
    func endUnread() {
        var conversation = Conversation(handshakeTimeout: .milliseconds(500))
        conversation.takes = false
        conversation.endOfStream(at: at(100))
        #expect(conversation.connection.deadline == at(500))
        conversation.wake(at: at(499))
        #expect(!conversation.isOver)
        conversation.wake(at: at(500))
        #expect(conversation.isOver)
    }

    @Test("7.4 A server that ends tells a client that waits for WELCOME so")
    func terminated() {
        for count in [0, 4, 8, 20, 39] {
            var conversation = Conversation()
            if count > 0 { conversation.receive(Array(hello()[..<count])) }
            conversation.terminate()
            #expect(conversation.said() == ["LIFELINE", "CLOSE SHUTTING_DOWN last 0"])
        }
    }

    @Test("A handshake has failed where something other than HELLO came, or nothing in time; a look is no failure")
    func failed() throws {
        func failed(_ talk: (inout Conversation) -> Void) -> Bool {
            var conversation = Conversation()
            talk(&conversation)
            return conversation.connection.hasFailedHandshake
        }
        #expect(failed { $0.receive(text("GET / HTTP/1.1")) })
        #expect(failed { $0.receive(preface, ping(1)) })
        #expect(failed { $0.receive(preface, raw(0x01, [2] + zeros(19))) })
        #expect(failed { $0.wake(at: at(10_000)) })
        #expect(
            failed {
                $0.receive(preface)
                $0.endOfStream()
            })
        #expect(
            failed {
                $0.receive(preface)
                $0.connection.broke("reset")
            })
        var stranger = Conversation(tokens: try Tokens(parsing: text("x")))
        stranger.receive(hello())
        #expect(stranger.said() == ["LIFELINE", "CLOSE UNAUTHORIZED last 0"])
        #expect(stranger.connection.hasFailedHandshake)

        #expect(!failed { $0.endOfStream() })
        #expect(!failed { $0.connection.broke("reset") })
        #expect(!failed { $0.terminate() })
        #expect(
            !failed {
                $0.receive(preface)
                $0.terminate()
            })
        #expect(!failed { $0.receive(hello()) })
        #expect(!failed { $0.receive(hello(), raw(0x77)) })
    }
}
