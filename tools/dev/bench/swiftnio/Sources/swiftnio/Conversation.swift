import NIOCore

/// The server's side of one connection, with a handler that echoes.
///
/// Answers of one batch of reads are gathered in one buffer and flushed with `channelReadComplete`; a payload that is
/// long is written as the slice in which it came, without a copy.
final class Conversation: ChannelInboundHandler {
    typealias InboundIn = Frame
    typealias OutboundOut = ByteBuffer

    /// Shorter payloads are cheaper to copy than to write by themselves.
    private static let worthASlice = 4096
    private static let bucketSize: Int64 = 20

    private let settings: Settings
    private let number: UInt64
    private let acceptedAt = NIODeadline.now()
    private var out = ByteBuffer()
    private var mustFlush = false

    private var hasGreeted = false
    private var hasHeard = false
    private var isShort = false
    private var isClosing = false
    private var hasEnded = false
    private var wasSentAway = false
    private var clientFrame = 0
    private var clientMessage = 0
    private var highestID: UInt32 = 0
    private var lastID: UInt32 = 0
    /// The message of which chunks are coming.
    private var open: (type: FrameType, id: UInt32, bytes: ByteBuffer, isDiscarded: Bool)?
    private var requests = 0

    private var handshake: Scheduled<Void>?
    private var lingering: Scheduled<Void>?
    private var idleEvents = 0
    private var pinged: UInt64 = 0
    private var ponged: UInt64 = 0
    private var pingStep = TimeAmount.zero
    private var bucketFullAt = NIODeadline.uptimeNanoseconds(0)
    private var ending = Ending(.normal)
    private var endedBy = "nobody"

    init(settings: Settings, number: UInt64) {
        self.settings = settings
        self.number = number
    }

    // MARK: Events

    func channelActive(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        handshake = context.eventLoop.scheduleTask(in: settings.handshakeTimeout) {
            let (conversation, context) = bound.value
            conversation.drop(Ending(.handshakeTimeout, "the handshake was not whole in time"), context)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        hasHeard = true
        guard !isClosing else { return }
        do {
            try take(unwrapInboundIn(data), context)
        } catch let ending as Ending {
            drop(ending, context)
        } catch {
            drop(Ending.violation("\(error)"), context)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        idleEvents = 0
        flush(context)
    }

    /// The decoder has found a violation, or the connection is broken.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let ending = error as? Ending {
            drop(ending, context)
        } else if !(error is ByteToMessageDecoderError) {
            context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: endOfStream(context)
        case IdleStateHandler.IdleStateEvent.read: idle(context)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        handshake?.cancel()
        lingering?.cancel()
        if settings.logs { logClosed(context) }
        context.fireChannelInactive()
    }

    // MARK: What came

    private func take(_ frame: Frame, _ context: ChannelHandlerContext) throws {
        switch frame.type {
        case .hello: try takeHello(frame.payload, context)
        case .ping:
            try pay()
            writeHeader(20, .pong, id: 0)
            out.writeImmutableBuffer(frame.payload)
            out.writeInteger(UInt32(0))
            out.writeInteger(UInt32(0))
            out.writeInteger(UInt32(0))
            mustFlush = true
        case .pong:
            guard let nonce = frame.payload.getInteger(at: frame.payload.readerIndex, as: UInt64.self),
                ponged < nonce, nonce <= pinged
            else { throw Ending.violation("PONG without a PING") }
            ponged = nonce
        case .request, .message: try takePart(frame, context)
        case .cancel: try takeCancel(frame.id, context)
        case .goAway:
            guard !isShort else { throw Ending.violation("GOAWAY on a short connection") }
            try judgeWords(frame.payload, zeroAt: 2)
            wasSentAway = true
            if open?.type != .request { close(Ending(.normal), context) }
        case .close:
            try judgeWords(frame.payload, zeroAt: 6)
            hasEnded = true
            endedBy = "client"
            let lastID = frame.payload.getInteger(at: frame.payload.readerIndex, as: UInt32.self)
            close(lastID == 0 ? Ending(.normal) : .violation("a client's CLOSE has a last_id"), context)
        default: break
        }
    }

    private func takeHello(_ payload: ByteBuffer, _ context: ChannelHandlerContext) throws {
        var payload = payload
        guard
            let (major, _, flags, askedPing, askedDead, maxFrame) = payload.readMultipleIntegers(
                as: (UInt8, UInt8, UInt16, UInt32, UInt32, UInt32).self),
            let maxMessage = payload.readInteger(as: UInt32.self)
        else { throw Ending.violation("HELLO is too short") }
        guard major == 1 else { throw Ending(.unsupportedVersion, "only version 1 is spoken here") }
        guard flags & ~1 == 0 else { throw Ending.violation("a flag of HELLO is not defined") }
        guard maxFrame >= 256 else { throw Ending.violation("max_frame is under 256") }
        try judgeOptions(payload)
        let timeout = settings.timeout
        let deadAfter = askedDead == 0 ? timeout : min(max(askedDead, 100), timeout)
        let pingEvery = min(max(askedPing == 0 ? deadAfter / 3 : askedPing, 20), deadAfter / 2)
        hasGreeted = true
        isShort = flags & 1 != 0
        clientFrame = Int(min(maxFrame, Limits.maxFrame))
        clientMessage = Int(maxMessage)
        pingStep = .microseconds(Int64(pingEvery) * 500)
        handshake?.cancel()

        out.writeStaticString("LIFELINE")
        writeHeader(36, .welcome, id: 0)
        out.writeMultipleIntegers(UInt8(1), UInt8(0), UInt16(0), pingEvery, deadAfter, Limits.maxFrame)
        out.writeMultipleIntegers(Limits.maxMessage, Limits.maxInFlight, Limits.maxQueued, number)
        mustFlush = true
        // Half of dead_after brings a PING, the whole of it the end.
        try context.pipeline.syncOperations.addHandler(
            IdleStateHandler(readTimeout: .microseconds(Int64(deadAfter) * 500)), position: .first)
    }

    private func judgeOptions(_ options: ByteBuffer) throws {
        var options = options
        var seen: Set<UInt16> = []
        while options.readableBytes > 0 {
            guard let (tag, length) = options.readMultipleIntegers(as: (UInt16, UInt16).self),
                let value = options.readSlice(length: Int(length))
            else { throw Ending.violation("an option is cut off") }
            switch tag {
            case 1...3:
                guard seen.insert(tag).inserted else { throw Ending.violation("an option stands twice") }
                guard length <= (tag == 1 ? 256 : tag == 2 ? 64 : 1024) else {
                    throw Ending.violation("an option is too long")
                }
                guard tag == 1 || String(validating: value.readableBytesView, as: UTF8.self) != nil else {
                    throw Ending.violation("an option is not UTF-8")
                }
            case 0x8000...: throw Ending(.unsupportedOption, "the option \(tag) is not known")
            default: break
            }
        }
    }

    private func judgeWords(_ payload: ByteBuffer, zeroAt place: Int) throws {
        let start = payload.readerIndex
        let zero = payload.getInteger(at: start + place, as: UInt16.self)
        guard zero == 0 else { throw Ending.violation("zero is not 0") }
        let text = payload.getSlice(at: start + 12, length: payload.readableBytes - 12)!
        guard String(validating: text.readableBytesView, as: UTF8.self) != nil else {
            throw Ending.violation("a text is not UTF-8")
        }
    }

    private func takePart(_ frame: Frame, _ context: ChannelHandlerContext) throws {
        let type = frame.type!
        let length = frame.payload.readableBytes
        let isFirst = open == nil
        if let open {
            guard open.type == type, open.id == frame.id else {
                throw Ending.violation("a frame of another message while one is open")
            }
            guard open.bytes.readableBytes + length <= Int(Limits.maxMessage) else {
                throw Ending(.messageTooLarge, "a message is too long")
            }
        } else if type == .request {
            guard frame.id > highestID else { throw Ending.violation("an id that is not new") }
            guard !wasSentAway else { throw Ending.violation("a request behind GOAWAY") }
            guard !isShort || highestID == 0 else { throw Ending.violation("a second request on a short connection") }
            highestID = frame.id
        }
        guard !isShort || type == .request else { throw Ending.violation("MESSAGE on a short connection") }
        if isFirst, !frame.hasMore {
            if type == .request {
                guard context.channel.isWritable else { return fail(frame.id, .refused, context) }
                respond(frame.id, frame.payload, context)
            } else if length == 0 {
                try pay()
            }
            return
        }
        if isFirst { open = (type, frame.id, ByteBuffer(), type == .message || !context.channel.isWritable) }
        var payload = frame.payload
        open!.bytes.writeBuffer(&payload)
        guard !frame.hasMore, let whole = open else { return }
        open = nil
        guard type == .request else { return }
        if whole.isDiscarded { fail(frame.id, .refused, context) } else { respond(frame.id, whole.bytes, context) }
        if wasSentAway { close(Ending(.normal), context) }
    }

    private func takeCancel(_ id: UInt32, _ context: ChannelHandlerContext) throws {
        guard id <= highestID else { throw Ending.violation("CANCEL of what was never sent") }
        try pay()
        guard open?.type == .request, open?.id == id else { return }
        open = nil
        fail(id, .cancelled, context)
        if wasSentAway { close(Ending(.normal), context) }
    }

    /// Section 5.10.
    private func pay() throws {
        let now = NIODeadline.now()
        let fullAt = max(bucketFullAt, now)
        guard fullAt - now <= pingStep * (Conversation.bucketSize - 1) else {
            throw Ending(.tooManyPings, "too many PINGs, CANCELs and empty MESSAGEs")
        }
        bucketFullAt = fullAt + pingStep
    }

    /// Nothing was heard for half of dead_after, once more.
    private func idle(_ context: ChannelHandlerContext) {
        guard !isClosing, !hasEnded else { return }
        idleEvents += 1
        guard idleEvents == 1 else {
            return drop(Ending(.silent, "nothing was heard for the whole of dead_after"), context)
        }
        pinged += 1
        writeHeader(8, .ping, id: 0)
        out.writeInteger(pinged)
        mustFlush = true
        flush(context)
    }

    /// Section 7.2: a client that ends its stream has had its answers by now, or has them in line.
    private func endOfStream(_ context: ChannelHandlerContext) {
        hasEnded = true
        // While CLOSE is still written, the end of that is waited for.
        guard !isClosing else { return lingering == nil ? () : context.close(promise: nil) }
        let isWhole = open == nil && (hasGreeted || !hasHeard)
        close(isWhole ? Ending(.normal) : .violation("the stream ended inside a message"), context)
        flush(context)
    }

    // MARK: What goes

    private func writeHeader(_ length: Int, _ type: FrameType, flags: UInt8 = 0, id: UInt32) {
        out.writeMultipleIntegers(UInt32(length), type.rawValue, flags, UInt16(0), id)
    }

    private func respond(_ id: UInt32, _ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        lastID = id
        requests += 1
        guard bytes.readableBytes <= clientMessage else { return fail(id, .messageTooLarge, context) }
        var rest = bytes
        repeat {
            let chunk = rest.readSlice(length: min(rest.readableBytes, clientFrame))!
            let hasMore = rest.readableBytes > 0
            writeHeader(chunk.readableBytes, .response, flags: hasMore ? Flags.more : 0, id: id)
            if chunk.readableBytes < Conversation.worthASlice {
                out.writeImmutableBuffer(chunk)
            } else {
                writeOut(context)
                context.write(wrapOutboundOut(chunk), promise: nil)
            }
        } while rest.readableBytes > 0
        mustFlush = true
        if isShort { close(Ending(.normal), context) }
    }

    private func fail(_ id: UInt32, _ code: Ending.Code, _ context: ChannelHandlerContext) {
        writeHeader(8, .failure, id: id)
        out.writeMultipleIntegers(code.rawValue, UInt16(0), UInt32(0))
        mustFlush = true
        if isShort { close(Ending(.normal), context) }
    }

    /// Hands over what is gathered, so that what follows comes behind it.
    private func writeOut(_ context: ChannelHandlerContext) {
        guard out.readableBytes > 0 else { return }
        context.write(wrapOutboundOut(out), promise: nil)
        out = ByteBuffer()
    }

    private func flush(_ context: ChannelHandlerContext) {
        guard mustFlush else { return }
        mustFlush = false
        guard isClosing else {
            writeOut(context)
            return context.flush()
        }
        // CLOSE is the last thing; behind it comes the end of our stream.
        let written = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        written.futureResult.whenSuccess {
            let (conversation, context) = bound.value
            conversation.leave(context)
        }
        context.writeAndFlush(wrapOutboundOut(out), promise: written)
    }

    /// CLOSE is with the kernel: the client has a second to end its own stream (7.1-3).
    private func leave(_ context: ChannelHandlerContext) {
        guard !hasEnded else { return context.close(promise: nil) }
        context.close(mode: .output, promise: nil)
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        lingering = context.eventLoop.scheduleTask(in: .seconds(1)) { bound.value.close(promise: nil) }
    }

    private func close(_ ending: Ending, _ context: ChannelHandlerContext) {
        guard !isClosing else { return }
        isClosing = true
        handshake?.cancel()
        self.ending = ending
        if endedBy == "nobody" { endedBy = "server" }
        if !hasGreeted { out.writeStaticString("LIFELINE") }
        writeHeader(12 + ending.text.utf8.count, .close, id: 0)
        out.writeMultipleIntegers(max(lastID, isShort ? highestID : 0), ending.code.rawValue, UInt16(0), UInt32(0))
        out.writeString(ending.text)
        mustFlush = true
    }

    private func drop(_ ending: Ending, _ context: ChannelHandlerContext) {
        close(ending, context)
        flush(context)
    }

    private func logClosed(_ context: ChannelHandlerContext) {
        let level = ending.code == .normal ? "info" : "warning"
        let age = NIODeadline.now() - acceptedAt
        let peer = context.remoteAddress.map { "\($0)" } ?? "gone"
        log(
            "\(level) closed connection=\(number) peer=\(peer) reason=\(ending.code) by=\(endedBy) "
                + "age=\(age.nanoseconds / 1_000_000)ms requests=\(requests) text=\"\(ending.text)\"")
    }
}
