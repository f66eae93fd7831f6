/**
 * The words of all pages in two languages, and how numbers, times and spans are written in each.
 *
 * Elements say what stands in them: `data-t` is their text, `data-l` their label for those who do not see
 * them, `data-p` their placeholder, `data-h` what is shown when the pointer rests on them.
 */

/** The Live page. */
const live = {
  en: {
    live: "Live", compare: "Compare", runs: "Runs", help: "Help", api: "API", pages: "Pages", skip: "Skip to the racks", run: "Run",
    control: "Control", start: "Start", pause: "Pause", step: "Step", "step.hint": "Go on for this long, then pause", "step.size": "Length of a step",
    "step.10s": "10 s", "step.1min": "1 min", "step.10min": "10 min", "step.1h": "1 h", "step.8h": "8 h", reset: "Reset",
    "reset.hint": "Begin the same scenario again", "reset.title": "Begin again?",
    "reset.what": "The same scenario and seed begin anew as another run. This one is stopped and stays under Runs.", speed: "Speed", max: "max",
    pace: "{want}, doing {reached}", cancel: "Cancel", send: "Send", close: "Close", no: "No", none: "none", find: "Find … ( / )",
    "find.nothing": "Nothing has that in its name", limits: "Now:", failed: "The server answered {status}",
    unreachable: "The server cannot be reached", "key.title": "API key", "key.why": "This server wants a key. It is kept until this tab is closed.",
    "key.wrong": "That key is not known here.", "key.label": "Key", "key.use": "Use it", "run.connecting": "Connecting", "run.queued": "Queued",
    "run.running": "Running", "run.paused": "Paused", "run.finished": "Finished", "run.stopped": "Stopped", "run.failed": "Failed",
    "run.interrupted": "Interrupted", "run.restoring": "Restoring", "run.lost": "Connection lost", "run.past": "In the past",
    "runs.start": "Start a run", "unit.tasks": "tasks", "unit.boxes": "boxes", "unit.boxes_per_h": "boxes/h", "unit.min": "min",
    "unit.meters": "meters", "unit.days": "days", cards: "Figures", "card.occupancy": "Occupancy", "card.meters": "{meters} of {capacity} meters",
    "card.queue": "Queue", "card.nothing_waits": "nothing waits", "card.oldest": "oldest {age}", "card.boxes_per_h": "Boxes per hour",
    "card.in_out": "{in} in, {out} out", "card.robot_utilisation": "Robot utilisation", "card.one_robot": "1 robot, last 60 min",
    "card.robots": "{robots} robots, last 60 min", "card.lead_time": "Lead time P95", "card.p50_p90": "P50 {p50}, P90 {p90}",
    "card.no_orders": "no orders handed over", "card.late_open": "{late} late", "card.over_age": "Over-age stock", "card.alerts": "Alerts open",
    "card.red_yellow": "{red} red, {yellow} yellow", "card.all_in_order": "all in order", "card.not_then": "not kept of the past", racks: "Racks",
    "racks.view": "View of the racks", "racks.label": "Racks: arrows go from slot to slot, Enter opens one",
    "racks.solid": "The racks in three dimensions", "view.2d": "2D elevation", "view.3d": "3D view", wall: "Wall", "racks.row": "Row {row}",
    "racks.of": "{boxes} of {capacity} boxes", "racks.port": "Port {name}", "racks.charger": "Charging place {name}", by: "Colour by",
    "colour.fill": "Fill", "colour.age": "Stock age", "colour.class": "Class of meter", "colour.visits": "Visits",
    "colour.truth": "Record differs from truth", "colour.count": "Last count", "by.age": "oldest", "by.sku": "most boxes", "by.visits": "visits",
    "by.count": "off by", "by.differs": "wrong records", "legend.empty": "empty", "legend.full": "full", "legend.visits": "visits",
    "legend.never": "not counted", "legend.as_recorded": "as recorded", "legend.one_off": "1 box off", "legend.more_off": "more",
    "legend.right": "right", "legend.one_wrong": "1 box wrong", "legend.more_wrong": "more",
    "truth.shown": "Shown is the truth, which no store knows: slots whose record is wrong are marked. Everything else on this page is what the records say.",
    "truth.refused": "The truth is not shown, because this server does not let you look at it. It needs a key with the scope truth:read, or a server started with --truth.",
    "truth.recorded": "recorded at {place}", "status.empty": "empty", "status.open": "has room", "status.full": "full", "status.held": "on hold",
    "status.blocked": "blocked", "status.none": "no places", past: "Time", "past.live": "Live", "past.branch": "Branch here",
    "past.back": "One minute back", "past.on": "One minute on", "branch.title": "Branch from {time}",
    "branch.what": "The branch has the same past. From this instant on it goes its own way to the end, and is compared.",
    "branch.both": "Let the run as it is go on to its end as well, to compare with", "branch.begin": "Branch and compare", "branch.same": "as it is",
    "branch.line": "expected lines like robots.carry = 2, found: {line}", "branch.nothing": "Change at least one value.", steer: "Steer",
    "steer.now": "This acts on the run as it is now, not on the instant that is shown.", "steer.usual": "as usual", "steer.all_slots": "all slots",
    "steer.as_is": "as it is: {now}", "steer.order": "Order", "steer.order.what": "A station orders meters; boxes are reserved for it at once.",
    "steer.delivery": "Truck", "steer.delivery.what": "A truck with boxes comes at its time and is unloaded in the shifts.",
    "steer.stop_robot": "Stop a robot", "steer.stop_robot.what": "It stops where it is until it is repaired.",
    "steer.repair_robot": "Repair the robot", "steer.repair_robot.what": "It works again at once.", "steer.block_slot": "Block a slot",
    "steer.block_slot.what": "It takes no more boxes; what stands in it can be fetched.", "steer.free_slot": "Free the slot",
    "steer.free_slot.what": "It takes boxes again.", "steer.count": "Count",
    "steer.count.what": "The slots are counted as soon as somebody can, before all planned counts.", "steer.recall": "Recall a lot",
    "steer.recall.what": "No box of the lot may be had any more, and all of them leave.", "steer.change_policy": "Change rules",
    "steer.change_policy.what": "Rules change with the next decision.", "steer.set": "Change values", "steer.transfer": "Move a box",
    "steer.hold_box": "Hold a box", "steer.release_box": "Release a box", "steer.scrap": "Scrap a box", "field.station": "Station",
    "field.sku": "Kind of meter", "field.meters": "Meters", "field.due_min": "Due in minutes", "field.boxes": "Boxes",
    "field.in_min": "Comes in minutes", "field.robot": "Robot", "field.slot": "Slot", "field.slots": "Slots", "field.lot": "Lot",
    "field.allocation": "Which slot takes a box", "field.retrieval": "Which box leaves", "field.dispatch": "Which task comes first",
    "field.dwell": "Where a robot rests", "field.carry": "Boxes on a robot", "field.more": "Other values, one a line", commands: "Commands",
    "commands.none": "No command has been sent into this run.", "command.applied": "{name}: done at {time}",
    "command.rejected": "{name} was rejected: {reason}", "command.expired": "{name} came too late",
    "command.accepted": "{name} stands in the log and is done when its time has come", "command.state.accepted": "accepted",
    "command.state.applied": "applied", "command.state.rejected": "rejected", "command.state.expired": "expired", detail: "Details", stock: "Stock",
    "stock.sku": "Kind", "stock.on_hand": "on hand", "stock.usable": "usable", "stock.on_order": "on order",
    "detail.how": "Click a slot or a robot, or use the arrow keys and Enter. Search finds meters, boxes, lots and orders by a few characters.",
    "kind.slot": "Slot", "kind.box": "Box", "kind.meter": "Meter", "kind.lot": "Lot", "kind.order": "Order", "kind.robot": "Robot",
    "kind.task": "Task", "kind.lead": "Orders", "slot.boxes": "Boxes", "slot.meters": "Meters", "slot.class": "Class", "slot.status": "For put-aways",
    "slot.reserved": "Kept for boxes", "slot.last_count": "Last count", "slot.expires": "In date until", "slot.contents": "Boxes in it",
    "slot.empty": "No box stands here.", "count.seen": "{seen} seen, {recorded} recorded", "count.never": "not counted yet", "box.box": "Box",
    "box.sku": "Kind", "box.meters": "Meters", "box.age": "Age", "box.place": "Place", "box.of": "{meters} of {capacity}", "box.status": "State",
    "box.lot": "Lot", "box.verified": "Verified on", "box.assets": "{meters} meters in it", "age.days": "{days} days", "age.old": "old",
    "age.too_old": "too old", "meter.status": "State", "meter.life": "Its life", history: "History", "history.none": "Nothing has happened here yet.",
    "download.json": "JSON", "download.csv": "CSV", "lot.boxes": "Boxes", "lot.here": "{here} of {all} here", "lot.recall": "Recalled",
    "lot.recalled": "yes, {left} of {boxes} have left", "order.station": "For", "order.status": "State", "order.lines": "Lines",
    "order.missing": "{meters} missing", "order.released": "Released", "order.due": "Due", "order.handed": "Handed over", "order.waits": "Waits for",
    "order.took": "Took", "order.late": "late", "order.late_by": "{span} late", "order.open": "open", "order.short": "short of stock",
    "order.handed_over": "handed over", "order.why": "Where its time went", "order.open_yet": "It is told when the order has been handed over.",
    "order.tasks": "Tasks", "order.boxes": "Boxes", orders: "Orders", "orders.none": "No order is open or late.", "robot.state": "Does",
    "robot.place": "Place", "robot.battery": "Battery", "robot.load": "On board", "robot.since": "Since", "robot.tasks": "Last tasks", task: "task",
    "task.class": "Kind", "task.status": "State", "task.way": "From, to", "task.created": "Created", "task.assigned": "Taken", "task.ended": "Done",
    "task.waited": "Waited", "taskstate.waiting": "waiting", "taskstate.assigned": "assigned", "taskstate.done": "done",
    "taskstate.cancelled": "cancelled", "class.issue": "issue", "class.put_away": "put away", "class.loose_return": "loose return",
    "class.empties": "empties", "class.count": "count", "place.truck": "on a truck", "place.staging": "staging", "place.overflow": "flat store",
    "place.pick-station": "pick station", "place.loose-rack": "loose rack", "place.handed-over": "handed over", "place.outside": "outside",
    why: "Why?", "why.plays": "The run is played again up to the decision …", "why.slot": "Why this slot", "why.box": "Why this box",
    "why.robot": "Why this robot, and when", "why.rule": "Rule: {rule}", "why.all": "Slots", "why.all_boxes": "Boxes of this kind",
    "constraint.hold": "on hold", "constraint.not_received": "not received", "constraint.missing": "missing", "constraint.reserved": "promised",
    "constraint.overdue": "overdue", "constraint.open": "open", "constraint.whole": "whole", "constraint.under_way": "under way",
    "constraint.other": "other", "why.left": "left to choose from", "why.best": "The best five (1 to 5 on the racks)",
    "why.others": "What other rules would have chosen", "why.chosen": "= chosen", "why.waited": "{tasks} × {class}, up to {span}",
    "why.checked": "Played again: the first {facts} facts are the same.", "constraint.class": "of another class", "constraint.full": "full",
    "constraint.blocked": "blocked", "constraint.held": "on hold", "lead.title": "Lead time",
    "lead.what": "Mean of {orders} orders from release to hand-over, by cause; amber: waiting.", "lead.mean": "Mean", "lead.late": "Late orders",
    "lead.none_late": "No order is or was late.", "lead.last": "Handed over last", "cause.waiting_stock": "waits for stock",
    "cause.count": "records wrong", "cause.waiting_robot": "waits for a robot", "cause.travel": "travel", "cause.handling": "handling",
    "cause.digging": "digging", "cause.aisle": "waits for the aisle", "cause.port": "waits for the port",
    "cause.conflict": "waits for a robot in the way", "cause.charging": "charging", "cause.fault": "out of order",
    "cause.tour_wait": "waits to fill a tour", "cause.waiting_people": "waits for people", "cause.people": "people work",
    "cause.outside_shifts": "outside shifts", charts: "Charts", window: "Window", "window.1h": "1 h", "window.8h": "8 h", "window.24h": "24 h",
    "window.all": "all", "chart.occupancy": "Occupancy", "chart.queue": "Queue", "chart.boxes": "Boxes per hour", "chart.lead": "Lead time (min)",
    "line.occupancy": "taken", "line.queue": "waiting", "line.boxes_in_per_h": "in", "line.boxes_out_per_h": "out", "line.lead_time_p50_s": "P50",
    "line.lead_time_p90_s": "P90", "line.lead_time_p95_s": "P95", bars: "What the robots did", "state.idle": "idle", "state.move": "move",
    "state.handle": "handle", "state.charge": "charge", "state.wait": "wait", "state.fault": "fault", "activity.idle": "idle",
    "activity.work": "works", "activity.dig": "digs", "activity.wait_tour": "waits to fill a tour", "activity.wait_aisle": "waits for the aisle",
    "activity.wait_port": "waits for the port", "activity.wait_conflict": "waits for another robot", "activity.go_charge": "goes to charge",
    "activity.charge": "charges", "activity.wait_charger": "waits to charge", "activity.park": "goes to rest", "activity.fault": "out of order",
    "activity.down": "out of order", alerts: "Alerts", "alerts.none": "No alert is open.", "alert.age": "age", "alert.safety": "safety stock",
    "alert.capacity": "capacity", "alert.found": "{key}: {found}, limit {limit}", "alert.robots_down": "robots out of order",
    "alert.slots": "{slots} slots", "card.over_age.note": "> {old} d: {meters}, > {too} d: {more}", "event.stored": "stored", "event.taken": "taken",
    "event.opening": "opening", "event.arrived": "arrived", "event.unloading": "unloading", "event.counted": "counted", "event.moved": "moved",
    "event.held": "held", "event.let_go": "let go", "event.blocked": "blocked", "event.unblocked": "unblocked", "event.discrepancy": "discrepancy",
    "event.reserved": "reserved", "event.released": "released", "event.ordered": "ordered", "event.assigned": "assigned", "event.work": "work",
    "event.fault": "fault", "event.repaired": "repaired", "event.battery": "battery", "event.tour": "tour", "event.received": "received",
    "event.recorded": "recorded", "event.left": "left", "event.returned": "returned", "event.found": "found", "event.missed": "missed",
    "event.picking": "picking", "event.checking": "checking", "event.allocated": "slot named", "event.done": "done",
    "event.handed_over": "handed over", "event.issued": "issued", "event.idle": "idle", "event.park": "park", "event.charge": "charge",
    "event.wait_tour": "waits to fill a tour", "event.task": "task made", "asset.qualified_in_stock": "qualified in stock",
    "asset.reserved": "reserved", "asset.issued_pending_install": "issued, pending installation", "asset.quarantined": "quarantined",
    "asset.pending_scrap": "pending scrap", "asset.overdue_pending_reverify": "overdue, pending re-verification",
    "asset.removed_pending_return": "removed, pending return", "asset.surplus_found": "surplus found", "asset.scrapped": "scrapped",
    "asset.in_transit": "in transit", "asset.new_held": "new, held", "asset.pending_verification": "pending verification",
    "asset.in_verification": "in verification", "asset.installed": "installed", "asset.returned_pending_sort": "returned, pending sorting",
    "asset.pending_test": "pending test", "asset.pending_reuse_verification": "pending re-use verification", "asset.to_maker": "to the maker",
    "asset.lost": "lost", "event.picked": "picked", "event.announced": "announced", "event.emptied": "emptied", "event.called_off": "called off",
    "event.given_back": "given back", "event.wait_aisle": "waits for the aisle", "event.wait_port": "waits for the port",
  },
  zh: {
    live: "实时", compare: "对比", runs: "运行", help: "帮助", api: "API", pages: "页面", skip: "跳到货架", run: "运行", control: "控制", start: "开始", pause: "暂停",
    step: "步进", "step.hint": "前进这么久后暂停", "step.size": "步长", "step.10s": "10 秒", "step.1min": "1 分", "step.10min": "10 分", "step.1h": "1 小时",
    "step.8h": "8 小时", reset: "重置", "reset.hint": "从头开始同一场景", "reset.title": "重新开始？", "reset.what": "同一场景和随机种子将作为新的运行重新开始；当前运行停止，仍可在“运行”中查看。",
    speed: "速度", max: "最快", pace: "{want}，实际 {reached}", cancel: "取消", send: "发送", close: "关闭", no: "否", none: "无", find: "查找…（/）",
    "find.nothing": "没有名称含此字符的对象", limits: "当前：", failed: "服务器返回 {status}", unreachable: "无法连接服务器", "key.title": "API 密钥",
    "key.why": "此服务器需要密钥。密钥只保存到关闭此标签页为止。", "key.wrong": "服务器不认识该密钥。", "key.label": "密钥", "key.use": "使用", "run.connecting": "正在连接",
    "run.queued": "排队", "run.running": "运行中", "run.paused": "已暂停", "run.finished": "已结束", "run.stopped": "已停止", "run.failed": "失败",
    "run.interrupted": "已中断", "run.restoring": "正在恢复", "run.lost": "连接中断", "run.past": "查看过去", "runs.start": "开始运行", "unit.tasks": "个任务",
    "unit.boxes": "箱", "unit.boxes_per_h": "箱/小时", "unit.min": "分", "unit.meters": "只", "unit.days": "天", cards: "指标", "card.occupancy": "箱位占用率",
    "card.meters": "{meters} / {capacity} 只电能表", "card.queue": "任务队列", "card.nothing_waits": "无等待任务", "card.oldest": "最久 {age}",
    "card.boxes_per_h": "每小时箱数", "card.in_out": "入 {in}，出 {out}", "card.robot_utilisation": "机器人利用率", "card.one_robot": "1 台，最近 60 分",
    "card.robots": "{robots} 台，最近 60 分", "card.lead_time": "出库时间 P95", "card.p50_p90": "P50 {p50}，P90 {p90}", "card.no_orders": "尚无交付的领用单",
    "card.late_open": "{late} 个超期", "card.over_age": "超期库存", "card.alerts": "未处理预警", "card.red_yellow": "红 {red}，黄 {yellow}",
    "card.all_in_order": "一切正常", "card.not_then": "过去时刻不记录", racks: "货架", "racks.view": "货架视图", "racks.label": "货架：方向键移动，回车打开货位",
    "racks.solid": "货架三维视图", "view.2d": "二维立面", "view.3d": "三维视图", wall: "大屏", "racks.row": "{row} 排", "racks.of": "{boxes} / {capacity} 箱",
    "racks.port": "站台 {name}", "racks.charger": "充电位 {name}", by: "着色", "colour.fill": "占用", "colour.age": "库龄", "colour.class": "电能表类别",
    "colour.visits": "访问次数", "colour.truth": "账实不符", "colour.count": "最近盘点", "by.age": "最久", "by.sku": "主要类别", "by.visits": "访问", "by.count": "相差",
    "by.differs": "账实不符", "legend.empty": "空", "legend.full": "满", "legend.visits": "次访问", "legend.never": "未盘点", "legend.as_recorded": "账实相符",
    "legend.one_off": "差 1 箱", "legend.more_off": "更多", "legend.right": "相符", "legend.one_wrong": "1 箱不符", "legend.more_wrong": "更多",
    "truth.shown": "现在显示的是真实状态（实际库房无从得知）：标出账实不符的货位。页面其余部分仍按账面显示。", "truth.refused": "无法显示真实状态：服务器不允许查看。需要带 truth:read 权限的密钥，或以 --truth 启动服务器。",
    "truth.recorded": "账面位置 {place}", "status.empty": "空", "status.open": "有空位", "status.full": "满", "status.held": "待盘点", "status.blocked": "已封锁",
    "status.none": "无箱位", past: "时间", "past.live": "实时", "past.branch": "从此分支", "past.back": "后退一分钟", "past.on": "前进一分钟",
    "branch.title": "从 {time} 分支", "branch.what": "分支与原运行的过去完全相同，从此刻起按新的设置运行到结束，然后对比。", "branch.both": "同时让原设置运行到结束，作为对照", "branch.begin": "分支并对比",
    "branch.same": "原设置", "branch.line": "每行应如 robots.carry = 2，实际为：{line}", "branch.nothing": "请至少更改一个值。", steer: "干预",
    "steer.now": "命令作用于当前运行，而不是所显示的过去时刻。", "steer.usual": "按常规", "steer.all_slots": "全部货位", "steer.as_is": "保持：{now}", "steer.order": "领用单",
    "steer.order.what": "供电所领用电能表，立即预留周转箱。", "steer.delivery": "到货", "steer.delivery.what": "车辆按时到货，在班次内卸货。", "steer.stop_robot": "停机器人",
    "steer.stop_robot.what": "机器人就地停止，直到修复。", "steer.repair_robot": "修复机器人", "steer.repair_robot.what": "机器人立即恢复工作。", "steer.block_slot": "封锁货位",
    "steer.block_slot.what": "不再放入周转箱，已有的仍可取出。", "steer.free_slot": "解除封锁", "steer.free_slot.what": "货位重新可用。", "steer.count": "盘点",
    "steer.count.what": "尽快盘点所列货位，先于计划盘点。", "steer.recall": "召回批次", "steer.recall.what": "该批次不再出库领用，全部清退。", "steer.change_policy": "更改策略",
    "steer.change_policy.what": "从下一次决策起按新策略。", "steer.set": "更改参数", "steer.transfer": "移库", "steer.hold_box": "冻结周转箱", "steer.release_box": "解冻周转箱",
    "steer.scrap": "报废周转箱", "field.station": "供电所", "field.sku": "电能表类别", "field.meters": "只数", "field.due_min": "期限（分钟）", "field.boxes": "箱数",
    "field.in_min": "几分钟后到", "field.robot": "机器人", "field.slot": "货位", "field.slots": "货位", "field.lot": "批次", "field.allocation": "货位分配规则",
    "field.retrieval": "出库选箱规则", "field.dispatch": "任务调度规则", "field.dwell": "机器人待命位置", "field.carry": "机器人载箱数", "field.more": "其他参数，每行一个",
    commands: "命令记录", "commands.none": "此运行尚未收到命令。", "command.applied": "{name}：已于 {time} 执行", "command.rejected": "{name}被拒绝：{reason}",
    "command.expired": "{name}已过期", "command.accepted": "{name}已记录，到时执行", "command.state.accepted": "已接受", "command.state.applied": "已执行",
    "command.state.rejected": "被拒绝", "command.state.expired": "已过期", detail: "详情", stock: "库存", "stock.sku": "类别", "stock.on_hand": "在库",
    "stock.usable": "可用", "stock.on_order": "在途", "detail.how": "点击货位或机器人，或用方向键和回车。搜索可按几个字符查找电能表、周转箱、批次和领用单。", "kind.slot": "货位", "kind.box": "周转箱",
    "kind.meter": "电能表", "kind.lot": "批次", "kind.order": "领用单", "kind.robot": "机器人", "kind.task": "任务", "kind.lead": "领用单", "slot.boxes": "周转箱",
    "slot.meters": "电能表", "slot.class": "类别", "slot.status": "上架状态", "slot.reserved": "预留箱位", "slot.last_count": "最近盘点", "slot.expires": "有效至",
    "slot.contents": "箱明细", "slot.empty": "此货位为空。", "count.seen": "实见 {seen}，账面 {recorded}", "count.never": "尚未盘点", "box.box": "箱号", "box.sku": "类别",
    "box.meters": "只数", "box.age": "库龄", "box.place": "位置", "box.of": "{meters} / {capacity}", "box.status": "状态", "box.lot": "批次",
    "box.verified": "检定日期", "box.assets": "箱内 {meters} 只电能表", "age.days": "{days} 天", "age.old": "库龄预警", "age.too_old": "超期", "meter.status": "资产状态",
    "meter.life": "全过程", history: "历史", "history.none": "尚无记录。", "download.json": "JSON", "download.csv": "CSV", "lot.boxes": "周转箱",
    "lot.here": "在库 {here} / {all}", "lot.recall": "召回", "lot.recalled": "是，已清退 {left} / {boxes}", "order.station": "供电所", "order.status": "状态",
    "order.lines": "明细", "order.missing": "缺 {meters}", "order.released": "下达", "order.due": "期限", "order.handed": "交付", "order.waits": "已等待",
    "order.took": "用时", "order.late": "超期", "order.late_by": "超期 {span}", "order.open": "未完成", "order.short": "缺货", "order.handed_over": "已交付",
    "order.why": "时间去向", "order.open_yet": "交付后给出。", "order.tasks": "任务", "order.boxes": "周转箱", orders: "领用单", "orders.none": "没有未完成或超期的领用单。",
    "robot.state": "动作", "robot.place": "位置", "robot.battery": "电量", "robot.load": "载箱", "robot.since": "开始于", "robot.tasks": "最近任务", task: "任务",
    "task.class": "类型", "task.status": "状态", "task.way": "起止", "task.created": "生成", "task.assigned": "领取", "task.ended": "完成", "task.waited": "等待",
    "taskstate.waiting": "等待", "taskstate.assigned": "执行中", "taskstate.done": "完成", "taskstate.cancelled": "取消", "class.issue": "出库",
    "class.put_away": "上架", "class.loose_return": "零表退回", "class.empties": "空箱", "class.count": "盘点", "place.truck": "车上", "place.staging": "暂存区",
    "place.overflow": "平库", "place.pick-station": "工作站", "place.loose-rack": "散表架", "place.handed-over": "已交付", "place.outside": "库外", why: "为什么？",
    "why.plays": "正在重放运行至决策时刻…", "why.slot": "为何选此货位", "why.box": "为何选此箱", "why.robot": "为何由此机器人、此时执行", "why.rule": "规则：{rule}", "why.all": "货位总数",
    "why.all_boxes": "此类周转箱", "constraint.hold": "待盘点", "constraint.not_received": "未收货", "constraint.missing": "缺失", "constraint.reserved": "已预留",
    "constraint.overdue": "超期", "constraint.open": "已开箱", "constraint.whole": "整箱", "constraint.under_way": "在途中", "constraint.other": "其他",
    "why.left": "剩余可选", "why.best": "最佳五个（货架上标 1–5）", "why.others": "其他规则的选择", "why.chosen": "= 实际选择", "why.waited": "{class} {tasks} 个，最久 {span}",
    "why.checked": "重放验证：前 {facts} 条记录完全一致。", "constraint.class": "不收此类周转箱", "constraint.full": "已满", "constraint.blocked": "已封锁",
    "constraint.held": "冻结", "lead.title": "出库时间", "lead.what": "{orders} 个领用单从下达到交付的平均时间，按原因划分；琥珀色为等待。", "lead.mean": "平均", "lead.late": "超期领用单",
    "lead.none_late": "没有超期的领用单。", "lead.last": "最近交付", "cause.waiting_stock": "等库存", "cause.count": "账实不符", "cause.waiting_robot": "等机器人",
    "cause.travel": "行驶", "cause.handling": "取放", "cause.digging": "倒箱", "cause.aisle": "等巷道", "cause.port": "等站台", "cause.conflict": "避让",
    "cause.charging": "充电", "cause.fault": "故障", "cause.tour_wait": "等拼单", "cause.waiting_people": "等人员", "cause.people": "人工作业",
    "cause.outside_shifts": "非班次时间", charts: "图表", window: "时间窗", "window.1h": "1 小时", "window.8h": "8 小时", "window.24h": "24 小时", "window.all": "全部",
    "chart.occupancy": "箱位占用率", "chart.queue": "任务队列", "chart.boxes": "每小时箱数", "chart.lead": "出库时间（分）", "line.occupancy": "占用", "line.queue": "等待",
    "line.boxes_in_per_h": "入", "line.boxes_out_per_h": "出", "line.lead_time_p50_s": "P50", "line.lead_time_p90_s": "P90",
    "line.lead_time_p95_s": "P95", bars: "机器人状态", "state.idle": "空闲", "state.move": "行驶", "state.handle": "取放", "state.charge": "充电",
    "state.wait": "等待", "state.fault": "故障", "activity.idle": "空闲", "activity.work": "作业", "activity.dig": "倒箱", "activity.wait_tour": "等拼单",
    "activity.wait_aisle": "等巷道", "activity.wait_port": "等站台", "activity.wait_conflict": "避让", "activity.go_charge": "去充电", "activity.charge": "充电",
    "activity.wait_charger": "等充电位", "activity.park": "去待命", "activity.fault": "故障", "activity.down": "故障", alerts: "预警", "alerts.none": "没有未处理的预警。",
    "alert.age": "库龄", "alert.safety": "安全库存", "alert.capacity": "库容", "alert.found": "{key}：{found}，限值 {limit}", "alert.robots_down": "故障机器人",
    "alert.slots": "{slots} 个货位", "card.over_age.note": "> {old} 天 {meters}，> {too} 天 {more}", "event.stored": "入位", "event.taken": "取出",
    "event.opening": "期初", "event.arrived": "到货", "event.unloading": "卸货", "event.counted": "盘点", "event.moved": "移动", "event.held": "冻结",
    "event.let_go": "解冻", "event.blocked": "封锁", "event.unblocked": "解除封锁", "event.discrepancy": "差异", "event.reserved": "预留", "event.released": "下达",
    "event.ordered": "订货明细", "event.assigned": "领取任务", "event.work": "作业", "event.fault": "故障", "event.repaired": "修复", "event.battery": "电量",
    "event.tour": "行程", "event.received": "收货", "event.recorded": "记账", "event.left": "离库", "event.returned": "退回", "event.found": "找到",
    "event.missed": "未见", "event.picking": "拣选", "event.checking": "复核", "event.allocated": "分配货位", "event.done": "完成", "event.handed_over": "交付",
    "event.issued": "发出", "event.idle": "空闲", "event.park": "待命", "event.charge": "充电", "event.wait_tour": "等拼单", "event.task": "生成任务",
    "asset.qualified_in_stock": "合格在库", "asset.reserved": "已预留", "asset.issued_pending_install": "领出待装", "asset.quarantined": "隔离",
    "asset.pending_scrap": "待报废", "asset.overdue_pending_reverify": "超期待复检", "asset.removed_pending_return": "拆回待退", "asset.surplus_found": "盘盈",
    "asset.scrapped": "已报废", "asset.in_transit": "在途", "asset.new_held": "新购暂管", "asset.pending_verification": "待检定", "asset.in_verification": "检定中",
    "asset.installed": "运行", "asset.returned_pending_sort": "拆回待分拣", "asset.pending_test": "待测试", "asset.pending_reuse_verification": "待利旧检定",
    "asset.to_maker": "返厂", "asset.lost": "盘亏", "event.picked": "拣出", "event.announced": "告知", "event.emptied": "清空", "event.called_off": "要货",
    "event.given_back": "退回预留", "event.wait_aisle": "等巷道", "event.wait_port": "等站台",
  },
};

/** Compare, Runs, Help, the 3D view and the wall. */
const more = {
  en: {
    "more.skip": "Skip to the content", "more.pages": "Pages", "more.scenario": "Scenario", "more.seed": "seed",
    "more.name": "Name", "more.mode": "Kind of run", "more.speed": "Pace", "more.yes": "yes", "more.no": "no", "more.minutes": "min",
    "more.points": "points", "more.day": "day {n}", "more.days": "{n} days", "more.fastest": "as fast as possible",
    "mode.live": "live: now, at a pace", "mode.batch": "batch: to its end, in its turn",
    "is.queued": "Queued", "is.running": "Running", "is.paused": "Paused", "is.finished": "Finished", "is.stopped": "Stopped",
    "is.failed": "Failed", "is.interrupted": "Can be read only", "is.restoring": "Restoring",
    "view.front": "Front", "view.above": "Above", "view.reset": "Reset",
    "cmp.lead": "Two to six runs side by side: what went in differently, what came out, and how it went on the way.",
    "cmp.choose": "Choose runs", "cmp.choose_note": "The first one chosen is what the others are measured against.", "cmp.none": "There are no runs yet.",
    "cmp.two": "Choose at least two runs.", "cmp.runs": "Runs compared", "cmp.base": "compared with this",
    "cmp.until": "All figures are of the time up to {at}.",
    "cmp.uneven": "The runs have come to different instants. All figures are of the time up to {at}, which each of them has passed.",
    "cmp.instant": "day {day}, {clock}",
    "cmp.single": "One run has no interval: a difference may be chance. Start each of them again with other seeds before you decide.",
    "cmp.same": "the same", "cmp.same_demand": "All of them met the same demand, order by order.", "cmp.other_demand": "They met different demand: some of the differences come from that.",
    "cmp.inputs": "Inputs that differ", "cmp.inputs_lead": "Everything else is the same in all of them.", "cmp.input": "Value",
    "cmp.same_inputs": "Their inputs are the same.", "cmp.midrun": "changed by commands", "cmp.nothing": "nothing",
    "cmp.kpis": "KPIs", "cmp.kpis_lead": "Below each value its difference from the first run, and whether that is better or worse where a direction is better.",
    "cmp.kpi": "KPI", "cmp.all": "all KPIs", "cmp.limits": "What limits it", "cmp.better": "better", "cmp.worse": "worse",
    "cmp.lines": "On the way", "cmp.lines_lead": "Where a line stands for many events, the pale band is from the least to the greatest value and the line is the last one.",
    "runs.lead": "Everything that was started on this server.", "runs.none": "No run yet. Start one below.", "runs.compare": "Compare", "runs.compare_n": "Compare {n}", "runs.choose": "Choose {run} to compare", "runs.details": "Inputs, outputs",
    "runs.progress": "How far it has come", "runs.state": "State", "runs.length": "Length, start", "runs.days": "Length", "runs.current": "current", "runs.open": "Open live page",
    "runs.stop": "Stop", "runs.again": "Start one like it", "runs.delete": "Delete", "runs.delete_sure": "Delete {name} ({run}) with everything that it left?",
    "runs.inputs": "Inputs", "runs.inputs_note": "Values that the reference store has otherwise; all of them are in the scenario file.",
    "runs.outputs": "Outputs up to {at}", "runs.digest": "Digest",
    "dl.scenario": "Scenario (TOML)", "dl.kpis": "KPIs (CSV)", "dl.slots": "Slots (CSV)", "dl.events": "Facts (JSONL)", "dl.done": "{name} is ready.", "dl.so_far": "{n} so far …",
    "sf.title": "Start a run", "sf.lead": "Take a scenario and change what you like; only what you change is sent.", "sf.find": "Find a value", "sf.start": "Start",
    "sf.dropped": "From {file}, which goes on from {base}.", "sf.json": "expected a list or table written as JSON", "sf.number": "expected a number",
    "sf.whole": "expected a whole number {range}", "sf.range": "expected a number {range}", "sf.seed": "expected a seed from 0 to 9,007,199,254,740,991",
    "sf.changed": "{n} changed: {what}", "sf.unchanged": "As the scenario has it.", "sf.started": "{run} is started.",
    "drop.here": "Drop a scenario file (.toml, .json) anywhere on this page.", "drop.choose": "Choose a file", "drop.taken": "{file} fills the form above.",
    "drop.line": "{file}, line {line}: not understood here: {found}", "drop.large": "expected a file of at most 1 MB",
    "gal.title": "Scenarios and their questions", "gal.lead": "Each file states only what makes it different from the reference store, and opens with the question that it answers.",
    "gal.start": "Use it", "gal.more": "and {n} more", "gal.robots": "robots: {n}", "gal.manual": "by hand",
    "unit.tasks": "tasks", "unit.boxes/h": "boxes/h", "unit.orders": "orders", "unit.meters": "meters", "unit.boxes": "boxes", "unit.times": "times",
    "unit.tours": "tours", "unit.h": "h", "unit.days": "days", "unit.slots": "slots", "unit.differences": "differences", "unit.errors": "errors", "unit.boxes/box": "boxes a box",
    "series.occupancy": "Occupancy", "series.queue": "Queue", "series.boxes_in_per_h": "Boxes in, last hour", "series.boxes_out_per_h": "Boxes out, last hour",
    "series.robot_utilisation": "Robot utilisation, last hour", "series.lead_time_p95_s": "Lead time P95, last 8 hours",
    "sec.often": "Changed most often", "sec.time": "Time", "sec.calendar": "Calendar", "sec.boxes": "Boxes", "sec.layout": "Layout", "sec.initial": "Stock at time 0",
    "sec.supply": "Supply", "sec.demand": "Demand", "sec.people": "People", "sec.staging": "Staging", "sec.robots": "Robots", "sec.tour": "Tours", "sec.policy": "Policies",
    "sec.records": "Records", "sec.reads": "Reading", "sec.counting": "Counting", "sec.faults": "Faults", "sec.fallback": "When robots stand", "sec.returns": "Returns",
    "sec.reverify": "Second verification", "sec.empties": "Empty boxes", "sec.control": "Alerts and safety stock", "sec.other": "Everything else",
    "help.lead": "What is to be seen, how to move about, and the words of the trade in both languages.",
    "help.racks": "How to read the racks", "help.r.bar": "The bar is as high as the slot is full, and the darker the fuller. How many boxes a slot holds differs from slot to slot.",
    "help.r.empty": "A pale place is an empty slot; where nothing is drawn stands no slot: a port opening, a gap or a pillar.",
    "help.r.chosen": "A blue frame is the slot that was chosen; what stands in it is told at the side.",
    "help.r.changed": "An amber frame lights up for a moment where something has changed.",
    "help.r.robot": "A robot at the slot that it works at, and in the aisle on its way there.",
    "help.r.flag": "A cross is a slot out of use; a mark of exclamation one on hold until it is counted.",
    "help.r.charger": "In the aisle: arrows for ports, a bolt for charging places.",
    "help.view": "Front view and 3D show the same slots in the same colours. Choose beside them what colours mean: boxes, age, kind, visits, counts or differences from the truth. In 3D, drag to turn; the row nearest to you is half transparent.",
    "help.keys": "Keys", "help.k.tab": "from part to part", "help.k.space": "pause and go on, when no field has the focus", "help.k.slash": "search for an asset number, box, slot, order, lot or robot",
    "help.k.arrows": "in the racks from slot to slot; in 3D turn the store", "help.k.ends": "first and last column", "help.k.pages": "row before and after", "help.k.enter": "open the slot", "help.k.zoom": "in 3D nearer, further, back to the beginning",
    "help.figures": "What the figures mean",
    "help.f.records": "Everything is told as the records have it, at one instant. What is true may differ; a server started with --truth shows where.",
    "help.f.p95": "P50, P90 and P95: half of the orders, 90 % and 95 % of them were handed over at most so long after their release.",
    "help.f.speed": "The pace asked for is a wish: beside it stands the one that is reached. With what is simulated it makes no difference.",
    "help.f.compare": "Compare shows single runs. A difference between two of them may be chance: only runs with several seeds have an interval.",
    "help.more": "More", "help.m.wall": "Wall mode, to be read from two metres", "help.m.api": "Everything on these pages comes from the HTTP API, and all of it is told there", "help.m.link": "The address of the Live page has the run, the slot, the colours, the view and the language in it: send it, and the other sees the same.",
    "help.words": "Words", "help.w.zh": "Chinese", "help.w.en": "English", "help.w.means": "Meaning",
    "wall.leave": "Leave wall mode", "wall.alerts": "Alerts", "wall.quiet": "No alerts",
    "wall.occupancy": "Occupancy", "wall.queue": "Queue", "wall.boxes_per_h": "In / out, boxes/h", "wall.robot_utilisation": "Robot utilisation", "wall.lead_time": "Lead time P95",
    "wall.a.age": "old stock", "wall.a.safety": "low stock", "wall.a.capacity": "room", "wall.a.robots_down": "robots out of order", "wall.a.slots_held": "slots on hold", "wall.a.slots_blocked": "slots out of use", "wall.a.late": "orders late",
    "kpi.orders": "Orders", "kpi.order_cycle_time_s": "Order cycle time", "kpi.order_cycle_time_working_s": "Order cycle time, shift hours",
    "kpi.order_time_by_cause_s": "Order time by cause", "kpi.late_orders": "Late orders", "kpi.open_orders_end": "Open orders at the end",
    "kpi.meters_issued": "Meters issued", "kpi.boxes_out": "Boxes out", "kpi.share_of_issues_from_before_start": "Issued from the opening stock",
    "kpi.boxes_in": "Boxes in", "kpi.gate_read_whole": "Read whole at the gate", "kpi.put_away_time_s": "Put-away time",
    "kpi.put_away_backlog": "Put-away backlog", "kpi.allocation_failures": "No slot found", "kpi.overflow_boxes": "Boxes to the flat store",
    "kpi.box_moves": "Box moves", "kpi.boxes_per_hour": "Boxes per hour", "kpi.robot_utilisation": "Robot utilisation",
    "kpi.robot_availability": "Robots in order", "kpi.time_by_cause_s": "Robot time by cause", "kpi.task_time_by_cause_s": "Task time by cause",
    "kpi.tours": "Tours", "kpi.boxes_per_tour": "Boxes per tour", "kpi.digs": "Digs", "kpi.digs_per_retrieval": "Digs per retrieval",
    "kpi.availability": "Availability", "kpi.performance_availability": "Performance availability", "kpi.faults": "Faults",
    "kpi.people_utilisation": "People utilisation", "kpi.person_hours_per_1000_meters": "Person-hours per 1,000 meters",
    "kpi.fill_boxes": "Fill, box places", "kpi.fill_slots": "Fill, slots", "kpi.fill_meters": "Fill, meters", "kpi.overdue_meters": "Overdue meters",
    "kpi.overdue_meters_end": "Overdue meters at the end", "kpi.stock_age_days": "Stock age", "kpi.boxes_left": "Boxes left otherwise",
    "kpi.boxes_came_back": "Boxes that came back", "kpi.days_away": "Days away", "kpi.recall_time_h": "Recall time", "kpi.empty_boxes": "Empty boxes",
    "kpi.fefo_violations": "Against first expired first out", "kpi.fifo_violations": "Against first in first out",
    "kpi.record_accuracy_location": "Record accuracy, slots", "kpi.record_accuracy_box": "Record accuracy, boxes",
    "kpi.record_accuracy_meter": "Record accuracy, meters", "kpi.errors_made": "Errors made", "kpi.errors_found": "Errors found",
    "kpi.errors_missed": "Errors missed", "kpi.days_to_discovery": "Days to discovery", "kpi.discrepancies": "Discrepancies",
    "kpi.boxes_on_hold": "Boxes on hold", "kpi.slots_counted": "Slots counted", "kpi.certified_accuracy": "Certified accuracy",
    "kpi.count_duration_h": "Count duration", "kpi.count_robot_hours": "Robot-hours of counting",
    "kpi.count_person_hours": "Person-hours of counting", "kpi.differences_noted": "Differences noted", "kpi.count_false_alarms": "False alarms",
    "kpi.differences_posted": "Differences posted",
  },
  zh: {
    "more.skip": "跳到正文", "more.pages": "页面", "more.scenario": "场景", "more.seed": "随机种子",
    "more.name": "名称", "more.mode": "运行方式", "more.speed": "速度", "more.yes": "是", "more.no": "否", "more.minutes": "分钟",
    "more.points": "个百分点", "more.day": "第{n}天", "more.days": "{n} 天", "more.fastest": "尽可能快",
    "mode.live": "实时：立即开始，按设定速度", "mode.batch": "批量：排队运行到结束",
    "is.queued": "排队中", "is.running": "运行中", "is.paused": "已暂停", "is.finished": "已完成", "is.stopped": "已停止",
    "is.failed": "失败", "is.interrupted": "只读", "is.restoring": "恢复中",
    "view.front": "正视", "view.above": "俯视", "view.reset": "复位",
    "cmp.lead": "将二至六次运行并列：输入有何不同，结果如何，过程怎样。",
    "cmp.choose": "选择运行", "cmp.choose_note": "最先选中的运行作为比较基准。", "cmp.none": "还没有运行。",
    "cmp.two": "请至少选择两次运行。", "cmp.runs": "参与对比的运行", "cmp.base": "比较基准",
    "cmp.until": "所有数据截至{at}。",
    "cmp.uneven": "各次运行的进度不同。所有数据截至{at}，各次运行均已到达该时刻。",
    "cmp.instant": "第{day}天 {clock}",
    "cmp.single": "单次运行没有置信区间，差异可能出于偶然。下结论之前，请用其他随机种子重复运行。",
    "cmp.same": "相同", "cmp.same_demand": "各次运行面对的需求完全相同，逐单一致。", "cmp.other_demand": "各次运行面对的需求不同，部分差异由此而来。",
    "cmp.inputs": "不同的输入", "cmp.inputs_lead": "其余输入全部相同。", "cmp.input": "参数",
    "cmp.same_inputs": "输入完全相同。", "cmp.midrun": "运行中被指令改动", "cmp.nothing": "无",
    "cmp.kpis": "指标", "cmp.kpis_lead": "每个数值下方是与基准的差值；指标有优劣方向时，注明更好或更差。",
    "cmp.kpi": "指标", "cmp.all": "全部指标", "cmp.limits": "瓶颈", "cmp.better": "更好", "cmp.worse": "更差",
    "cmp.lines": "过程", "cmp.lines_lead": "一段线包含许多事件时，浅色带为最小值到最大值，线为最后一个值。",
    "runs.lead": "本服务器上启动过的全部运行。", "runs.none": "还没有运行，可在下方启动。", "runs.compare": "对比", "runs.compare_n": "对比 {n} 次运行", "runs.choose": "选择 {run} 参与对比", "runs.details": "输入与结果",
    "runs.progress": "进度", "runs.state": "状态", "runs.length": "时长与开始时间", "runs.days": "时长", "runs.current": "当前", "runs.open": "打开实时页面",
    "runs.stop": "停止", "runs.again": "以此为基础新建", "runs.delete": "删除", "runs.delete_sure": "删除 {name}（{run}）及其全部数据？",
    "runs.inputs": "输入", "runs.inputs_note": "仅列出与参考库房不同的参数；场景文件中有全部参数。",
    "runs.outputs": "结果（截至{at}）", "runs.digest": "摘要",
    "dl.scenario": "场景（TOML）", "dl.kpis": "指标（CSV）", "dl.slots": "货位（CSV）", "dl.events": "事实记录（JSONL）", "dl.done": "{name} 已就绪。", "dl.so_far": "已取得 {n} 条……",
    "sf.title": "新建运行", "sf.lead": "选一个场景，按需修改；只提交改动过的参数。", "sf.find": "查找参数", "sf.start": "启动",
    "sf.dropped": "来自 {file}，以 {base} 为基础。", "sf.json": "应为 JSON 格式的列表或表", "sf.number": "应为数字",
    "sf.whole": "应为整数 {range}", "sf.range": "应为数字 {range}", "sf.seed": "随机种子应在 0 到 9,007,199,254,740,991 之间",
    "sf.changed": "改动 {n} 项：{what}", "sf.unchanged": "与场景一致。", "sf.started": "{run} 已启动。",
    "drop.here": "可将场景文件（.toml、.json）拖到本页任意位置。", "drop.choose": "选择文件", "drop.taken": "{file} 已填入上方表单。",
    "drop.line": "{file} 第 {line} 行无法识别：{found}", "drop.large": "文件不应超过 1 MB",
    "gal.title": "场景与所回答的问题", "gal.lead": "每个场景文件只写与参考库房不同之处，并以所要回答的问题开头。",
    "gal.start": "使用", "gal.more": "另有 {n} 项", "gal.robots": "机器人 {n} 台", "gal.manual": "人工作业",
    "unit.tasks": "个任务", "unit.boxes/h": "箱/时", "unit.orders": "单", "unit.meters": "只表", "unit.boxes": "箱", "unit.times": "次",
    "unit.tours": "趟", "unit.h": "小时", "unit.days": "天", "unit.slots": "个货位", "unit.differences": "处差异", "unit.errors": "个错误", "unit.boxes/box": "箱/箱",
    "series.occupancy": "库容占用率", "series.queue": "排队任务", "series.boxes_in_per_h": "近一小时入库", "series.boxes_out_per_h": "近一小时出库",
    "series.robot_utilisation": "近一小时机器人利用率", "series.lead_time_p95_s": "近 8 小时交付时间 P95",
    "sec.often": "最常修改", "sec.time": "时间", "sec.calendar": "日历", "sec.boxes": "周转箱", "sec.layout": "布局", "sec.initial": "初始库存",
    "sec.supply": "供应", "sec.demand": "需求", "sec.people": "人员", "sec.staging": "暂存", "sec.robots": "机器人", "sec.tour": "作业趟次", "sec.policy": "策略",
    "sec.records": "账目", "sec.reads": "识读", "sec.counting": "盘点", "sec.faults": "故障", "sec.fallback": "机器人停机时", "sec.returns": "拆回",
    "sec.reverify": "复检", "sec.empties": "空箱", "sec.control": "预警与安全库存", "sec.other": "其他",
    "help.lead": "画面怎么看、怎么操作，以及中英文术语对照。",
    "help.racks": "如何看货架", "help.r.bar": "色块越高、颜色越深，货位越满。各货位可放的箱数不尽相同。",
    "help.r.empty": "浅色格为空货位；没有画格子的地方没有货位：站台开口、空当或立柱。",
    "help.r.chosen": "蓝框为选中的货位，右侧显示其中的周转箱。",
    "help.r.changed": "琥珀色框短暂亮起，表示该货位刚有变化。",
    "help.r.robot": "机器人显示在所作业的货位上，并显示在前往途中的巷道里。",
    "help.r.flag": "叉号表示货位停用；叹号表示货位冻结，待盘点后解除。",
    "help.r.charger": "巷道中：箭头为站台，闪电为充电位。",
    "help.view": "正视图与三维视图显示相同的货位和颜色。旁边可选颜色的含义：箱数、库龄、品种、访问次数、盘点或账实差异。三维视图可拖动旋转；离您最近的一排为半透明。",
    "help.keys": "键盘操作", "help.k.tab": "在各部分之间移动", "help.k.space": "暂停与继续（焦点不在输入框时）", "help.k.slash": "查找资产编号、周转箱、货位、订单、批次或机器人",
    "help.k.arrows": "在货架中逐格移动；在三维视图中旋转", "help.k.ends": "第一列与最后一列", "help.k.pages": "上一排与下一排", "help.k.enter": "打开货位", "help.k.zoom": "三维视图放大、缩小、复位",
    "help.figures": "数据说明",
    "help.f.records": "页面显示的是某一时刻的账面情况，可能与实物不符；以 --truth 启动的服务器可显示差异。",
    "help.f.p95": "P50、P90、P95：分别有一半、90 % 和 95 % 的订单自下达起在此时间内交付。",
    "help.f.speed": "设定的速度只是期望值，旁边显示实际达到的速度。速度不影响模拟结果。",
    "help.f.compare": "对比页比较的是单次运行。两次运行之间的差异可能出于偶然，只有多个随机种子才能给出置信区间。",
    "help.more": "更多", "help.m.wall": "大屏模式，两米外可读", "help.m.api": "各页面的数据全部来自 HTTP 接口，接口文档中均有说明", "help.m.link": "实时页面的网址包含运行、货位、着色、视图和语言：把网址发给别人，对方看到的画面相同。",
    "help.words": "术语", "help.w.zh": "中文", "help.w.en": "英文", "help.w.means": "含义",
    "wall.leave": "退出大屏模式", "wall.alerts": "预警", "wall.quiet": "无预警",
    "wall.occupancy": "库容占用率", "wall.queue": "排队任务", "wall.boxes_per_h": "入 / 出，箱/小时", "wall.robot_utilisation": "机器人利用率", "wall.lead_time": "交付时间 P95",
    "wall.a.age": "库龄预警", "wall.a.safety": "库存不足", "wall.a.capacity": "库容紧张", "wall.a.robots_down": "机器人停机", "wall.a.slots_held": "货位冻结", "wall.a.slots_blocked": "货位停用", "wall.a.late": "订单逾期",
    "kpi.orders": "出库单", "kpi.order_cycle_time_s": "订单周期", "kpi.order_cycle_time_working_s": "订单周期（班内）", "kpi.order_time_by_cause_s": "订单时间构成",
    "kpi.late_orders": "逾期订单", "kpi.open_orders_end": "期末未交订单", "kpi.meters_issued": "领用表计", "kpi.boxes_out": "出库箱数",
    "kpi.share_of_issues_from_before_start": "出自初始库存的比例", "kpi.boxes_in": "入库箱数", "kpi.gate_read_whole": "门禁一次读全", "kpi.put_away_time_s": "上架时间",
    "kpi.put_away_backlog": "待上架箱数", "kpi.allocation_failures": "无货位可分配", "kpi.overflow_boxes": "转存平库", "kpi.box_moves": "搬运箱次",
    "kpi.boxes_per_hour": "每小时搬运箱数", "kpi.robot_utilisation": "机器人利用率", "kpi.robot_availability": "机器人完好率", "kpi.time_by_cause_s": "机器人时间构成",
    "kpi.task_time_by_cause_s": "任务时间构成", "kpi.tours": "作业趟次", "kpi.boxes_per_tour": "每趟箱数", "kpi.digs": "倒箱", "kpi.digs_per_retrieval": "每次下架倒箱数",
    "kpi.availability": "可用率", "kpi.performance_availability": "性能可用率", "kpi.faults": "故障", "kpi.people_utilisation": "人员利用率",
    "kpi.person_hours_per_1000_meters": "每千只表人工时", "kpi.fill_boxes": "箱位占用率", "kpi.fill_slots": "货位占用率", "kpi.fill_meters": "表计占用率",
    "kpi.overdue_meters": "超期表计", "kpi.overdue_meters_end": "期末超期表计", "kpi.stock_age_days": "库龄", "kpi.boxes_left": "其他出库箱数",
    "kpi.boxes_came_back": "退回箱数", "kpi.days_away": "送检天数", "kpi.recall_time_h": "召回用时", "kpi.empty_boxes": "空箱", "kpi.fefo_violations": "违反先到期先出",
    "kpi.fifo_violations": "违反先入先出", "kpi.record_accuracy_location": "账实相符率（货位）", "kpi.record_accuracy_box": "账实相符率（箱）",
    "kpi.record_accuracy_meter": "账实相符率（表）", "kpi.errors_made": "产生的错误", "kpi.errors_found": "发现的错误", "kpi.errors_missed": "未发现的错误",
    "kpi.days_to_discovery": "发现所需天数", "kpi.discrepancies": "账实差异", "kpi.boxes_on_hold": "冻结箱数", "kpi.slots_counted": "已盘货位",
    "kpi.certified_accuracy": "抽样证明的相符率", "kpi.count_duration_h": "盘点用时", "kpi.count_robot_hours": "盘点机器人工时", "kpi.count_person_hours": "盘点人工时",
    "kpi.differences_noted": "初盘差异", "kpi.count_false_alarms": "误报差异", "kpi.differences_posted": "盘盈盘亏过账",
  },
};

/** @type {{en: Record<string, string>, zh: Record<string, string>}} */
export const words = {
  en: { ...live.en, ...more.en },
  zh: { ...live.zh, ...more.zh },
};

/** @typedef {"en" | "zh"} Language */

const asked = new URLSearchParams(location.search).get("lang");

/** @type {Language} */
export const lang = asked === "zh" || (asked !== "en" && navigator.language.startsWith("zh")) ? "zh" : "en";

document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";

const locale = lang === "zh" ? "zh-CN" : "en-GB";

/**
 * The words of a key, with `{name}` replaced by the values given; a key without words is its own word.
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 */
export function t(key, values = {}) {
  return (words[lang][key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** Write the words into a part of the page. @param {ParentNode} [root] */
export function translate(root = document) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-l]")) element.setAttribute("aria-label", t(element.dataset.l));
  for (const element of root.querySelectorAll("[data-p]")) element.setAttribute("placeholder", t(element.dataset.p));
  for (const element of root.querySelectorAll("[data-h]")) element.setAttribute("title", t(element.dataset.h));
}

/** A number with so many decimals at most. @param {number} value @param {number} [digits] */
export function number(value, digits = 0) {
  return Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
}

/** A number with exactly so many decimals. @param {number} value @param {number} digits */
export function fixed(value, digits) {
  return Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** A span of time in its two greatest units: 2 d 3 h, 4 min 20 s, 12 s. @param {number | null} seconds */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const units = lang === "zh" ? [" 天", " 小时", " 分", " 秒"] : [" d", " h", " min", " s"];
  let rest = Math.round(Math.abs(seconds));
  const parts = [];
  for (const [index, size] of [86400, 3600, 60, 1].entries()) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count) parts.push(count + units[index]);
    else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return (seconds < 0 ? "−" : "") + (parts.join(" ") || 0 + units[3]);
}

/** Day and time of day of simulated seconds: D3 14:05:20. @param {number} seconds @param {string} start */
export function clock(seconds, start, withSeconds = true) {
  const at = new Date(Date.parse(`${start.slice(0, 19)}Z`) + Math.floor(seconds) * 1000);
  const midnight = Date.parse(`${start.slice(0, 10)}T00:00:00Z`);
  const day = Math.floor((at.getTime() - midnight) / 86400000) + 1;
  return `${lang === "zh" ? `第${day}天` : `D${day}`} ${at.toISOString().slice(11, withSeconds ? 19 : 16)}`;
}

/** The address of another page with the language and the run of this one. @param {string} path */
export function address(path, values = {}) {
  const here = new URLSearchParams(location.search);
  const there = new URLSearchParams();
  for (const name of ["run", "lang"]) if (here.has(name)) there.set(name, here.get(name));
  for (const [name, value] of Object.entries(values)) there.set(name, value);
  const query = there.toString();
  return query ? `${path}?${query}` : path;
}
