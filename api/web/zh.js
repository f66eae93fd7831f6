/** The words of all pages in Chinese, by part; en.js has the same keys. Below, what the server says in English. */

/** @type {Record<string, string | Record<string, string>>} */
export const words = {
  live: "实时", compare: "对比", pages: "页面", skip: "跳到货架", control: "控制", start: "开始", pause: "暂停", speed: "速度", max: "最快",
  pace: "{want}，实际 {reached}", cancel: "取消", send: "发送", close: "关闭", no: "否", none: "无", limits: "当前：", failed: "服务器返回 {status}",
  unreachable: "无法连接服务器", cards: "指标", charts: "图表", bars: "机器人状态",
  activity: {
    idle: "空闲", work: "作业", dig: "倒箱", wait_tour: "等拼单", wait_aisle: "等巷道", wait_port: "等站台", wait_conflict: "避让",
    go_charge: "去充电", charge: "充电", wait_charger: "等充电位", park: "去待命", fault: "故障", down: "故障",
  },
  age: { days: "{days} 天", old: "库龄预警", too_old: "超期" },
  alert: {
    age: "库龄", safety: "安全库存", capacity: "库容", found: "{key}：{found}，限值 {limit}", robots_down: "故障机器人", slots_held: "货位冻结",
    slots_blocked: "货位停用", late: "领用单超期",
  },
  alerts: { "": "预警", none: "没有未处理的预警。" },
  asset: {
    qualified_in_stock: "合格在库", reserved: "已预留", issued_pending_install: "领出待装", quarantined: "隔离", pending_scrap: "待报废",
    overdue_pending_reverify: "超期待复检", removed_pending_return: "拆回待退", surplus_found: "盘盈", scrapped: "已报废", in_transit: "在途",
    new_held: "新购暂管", pending_verification: "待检定", in_verification: "检定中", installed: "运行", returned_pending_sort: "拆回待分拣",
    pending_test: "待测试", pending_reuse_verification: "待利旧检定", to_maker: "返厂", lost: "盘亏",
  },
  box: {
    box: "箱号", sku: "类别", meters: "只数", age: "库龄", place: "位置", of: "{meters} / {capacity}", status: "状态", verified: "检定日期",
    assets: "箱内 {meters} 只电能表",
  },
  branch: {
    title: "从 {time} 分支", what: "分支与原运行的过去完全相同，从此刻起按新的设置运行到结束，然后对比。", both: "同时让原设置运行到结束，作为对照",
    begin: "分支并对比", same: "原设置", line: "每行应如 robots.carry = 2，实际为：{line}", nothing: "请至少更改一个值。",
  },
  by: { "": "着色", age: "最久", sku: "主要类别", visits: "访问", count: "相差", differs: "账实不符" },
  card: {
    occupancy: "箱位占用率", meters: "{meters} / {capacity} 只电能表", queue: "任务队列", nothing_waits: "无等待任务", oldest: "最久 {age}",
    boxes_per_h: "每小时箱数", in_out: "入 {in}，出 {out}", robot_utilisation: "机器人利用率", one_robot: "1 台，最近 60 分",
    robots: "{robots} 台，最近 60 分", lead_time: "出库时间 P95", p50_p90: "P50 {p50}，P90 {p90}", no_orders: "尚无交付的领用单",
    late_open: "{late} 个超期", over_age: "超期库存", alerts: "未处理预警", red_yellow: "红 {red}，黄 {yellow}", all_in_order: "一切正常",
    not_then: "过去时刻不记录", "over_age.note": "> {old} 天 {meters}，> {too} 天 {more}",
  },
  cause: {
    waiting_stock: "等库存", count: "账实不符", waiting_robot: "等机器人", travel: "行驶", handling: "取放", digging: "倒箱", aisle: "等巷道",
    port: "等站台", conflict: "避让", charging: "充电", fault: "故障", tour_wait: "等拼单", waiting_people: "等人员", people: "人工作业",
    outside_shifts: "非班次时间",
  },
  chart: { lead: "出库时间（分）" },
  class: { issue: "出库", put_away: "上架", loose_return: "零表退回", empties: "空箱", count: "盘点" },
  cmp: {
    lead: "将二至六次运行并列：输入有何不同，结果如何，过程怎样。", choose: "选择运行", choose_note: "最先选中的运行作为比较基准。",
    none: "还没有运行。", two: "请至少选择两次运行。", runs: "参与对比的运行", base: "比较基准", until: "所有数据截至{at}。",
    uneven: "各次运行的进度不同。所有数据截至{at}，各次运行均已到达该时刻。", instant: "第{day}天 {clock}", same: "相同",
    same_demand: "各次运行面对的需求完全相同，逐单一致。", other_demand: "各次运行面对的需求不同，部分差异由此而来。", inputs: "不同的输入",
    inputs_lead: "其余输入全部相同。", input: "参数", same_inputs: "输入完全相同。", midrun: "运行中被指令改动", nothing: "无", kpis: "指标",
    kpis_lead: "每个数值下方是与基准的差值；指标有优劣方向时，注明更好或更差。", kpi: "指标", all: "全部指标", limits: "瓶颈", better: "更好",
    worse: "更差", lines: "过程", single: "重复次数：1，没有置信区间：差异可能出于偶然。下结论之前，请用其他随机种子重复运行。",
    mixed: "只有一次重复时没有置信区间，无法判断随机波动。",
    replicated: "同一场景、不同随机种子的运行合为一列：均值及其 95 % 置信区间（Student t）。", overlap: "区间重叠",
    overlap_note: "标有“区间重叠”处，换用其他随机种子，差异可能反转，除非配对差不跨零。", paired: "配对差：{low} 至 {high}",
    paired_note: "随机种子相同的运行还逐对比较：“配对差”为平均差值的 95 % 置信区间。", n: "重复次数：{n}", seeds: "随机种子 {seeds}",
    limits_of: "{run}：{sentence}", band: "有多次重复时，线为均值，浅色带为最小值到最大值；只有一次时，浅色带为线上一点所概括的范围。",
  },
  colour: { fill: "占用", age: "库龄", class: "电能表类别", visits: "访问次数", truth: "账实不符", count: "最近盘点" },
  command: {
    applied: "{name}：已于 {time} 执行", rejected: "{name}被拒绝：{reason}", expired: "{name}已过期", accepted: "{name}已记录，到时执行",
    "state.accepted": "已接受", "state.applied": "已执行", "state.rejected": "被拒绝", "state.expired": "已过期",
  },
  commands: { "": "命令记录", none: "此运行尚未收到命令。" },
  constraint: {
    hold: "待盘点", not_received: "未收货", missing: "缺失", reserved: "已预留", overdue: "超期", open: "已开箱", whole: "整箱", under_way: "在途中",
    other: "其他", class: "不收此类周转箱", full: "已满", blocked: "已封锁", held: "冻结",
  },
  count: { seen: "实见 {seen}，账面 {recorded}", never: "尚未盘点" },
  detail: { "": "详情", how: "点击货位或机器人，或用方向键和回车。搜索可按几个字符查找电能表、周转箱、批次和领用单。" },
  dl: {
    scenario: "场景（TOML）", events: "事实记录（JSONL）", done: "{name} 已就绪。", so_far: "已取得 {n} 条……", report: "报告（HTML）",
    tables: "数据表（CSV，zip）", wait: "正在生成……",
  },
  drop: {
    here: "可将场景文件（.toml、.json）拖到本页任意位置。", choose: "选择文件", taken: "{file} 已填入上方表单。",
    line: "{file} 第 {line} 行无法识别：{found}", large: "文件不应超过 1 MB",
  },
  event: {
    stored: "入位", taken: "取出", opening: "期初", arrived: "到货", unloading: "卸货", counted: "盘点", moved: "移动", held: "冻结", let_go: "解冻",
    blocked: "封锁", unblocked: "解除封锁", discrepancy: "差异", reserved: "预留", released: "下达", ordered: "订货明细", assigned: "领取任务",
    work: "作业", fault: "故障", repaired: "修复", battery: "电量", tour: "行程", received: "收货", recorded: "记账", left: "离库", returned: "退回",
    found: "找到", missed: "未见", picking: "拣选", checking: "复核", allocated: "分配货位", done: "完成", handed_over: "交付", issued: "发出",
    idle: "空闲", park: "待命", charge: "充电", wait_tour: "等拼单", task: "生成任务", picked: "拣出", announced: "告知", emptied: "清空",
    called_off: "要货", given_back: "退回预留", wait_aisle: "等巷道", wait_port: "等站台",
  },
  field: {
    station: "供电所", sku: "电能表类别", meters: "只数", due_min: "期限（分钟）", boxes: "箱数", in_min: "几分钟后到", robot: "机器人", slot: "货位",
    slots: "货位", lot: "批次", allocation: "货位分配规则", retrieval: "出库选箱规则", dispatch: "任务调度规则", dwell: "机器人待命位置",
    carry: "机器人载箱数", more: "其他参数，每行一个",
  },
  find: { "": "查找…（/）", nothing: "没有名称含此字符的对象" },
  gal: {
    title: "场景与所回答的问题", lead: "每个场景文件只写与参考库房不同之处，并以所要回答的问题开头。", start: "使用", more: "另有 {n} 项",
    robots: "机器人 {n} 台", manual: "人工作业",
  },
  help: {
    "": "帮助", lead: "画面怎么看、怎么操作，以及中英文术语对照。", racks: "如何看货架",
    "r.bar": "色块越高、颜色越浓，货位越满。各货位可放的箱数不尽相同。",
    "r.empty": "浅色格为空货位；没有画格子的地方没有货位：站台开口、空当或立柱。", "r.chosen": "蓝框为选中的货位，右侧显示其中的周转箱。",
    "r.changed": "琥珀色框短暂亮起，表示该货位刚有变化。", "r.robot": "机器人显示在所作业的货位上，并显示在前往途中的巷道里。",
    "r.flag": "叉号表示货位停用；叹号表示货位冻结，待盘点后解除。", "r.charger": "巷道中：箭头为站台，闪电为充电位。",
    view: "正视图与三维视图显示相同的货位和颜色。旁边可选颜色的含义：箱数、库龄、品种、访问次数、盘点或账实差异。三维视图可拖动旋转；离您最近的一排为半透明。",
    keys: "键盘操作", "k.tab": "在各部分之间移动", "k.space": "暂停与继续（焦点不在输入框时）",
    "k.slash": "查找资产编号、周转箱、货位、订单、批次或机器人", "k.arrows": "在货架中逐格移动；在三维视图中旋转", "k.ends": "第一列与最后一列",
    "k.pages": "上一排与下一排", "k.enter": "打开货位", "k.zoom": "三维视图放大、缩小、复位", figures: "数据说明",
    "f.records": "页面显示的是某一时刻的账面情况，可能与实物不符；以 --truth 启动的服务器可显示差异。",
    "f.p95": "P50、P90、P95：分别有一半、90 % 和 95 % 的订单自下达起在此时间内交付。",
    "f.speed": "设定的速度只是期望值，旁边显示实际达到的速度。速度不影响模拟结果。",
    "f.compare": "对比页把仅随机种子不同的运行合为一列：均值及 95 % 置信区间。单次运行没有置信区间，差异可能出于偶然。", more: "更多",
    "m.wall": "大屏模式，两米外可读", "m.api": "各页面的数据全部来自 HTTP 接口，接口文档中均有说明",
    "m.link": "实时页面的网址包含运行、货位、着色、视图和语言：把网址发给别人，对方看到的画面相同。", words: "术语", "w.zh": "中文", "w.en": "英文",
    "w.means": "含义",
  },
  history: { "": "历史", none: "尚无记录。" },
  key: { title: "API 密钥", why: "此服务器需要密钥。密钥只保存到关闭此标签页为止。", wrong: "服务器不认识该密钥。", label: "密钥", use: "使用" },
  kind: { slot: "货位", box: "周转箱", meter: "电能表", lot: "批次", order: "领用单", robot: "机器人", task: "任务", lead: "领用单" },
  kpi: {
    orders: "出库单", order_cycle_time_s: "订单周期", order_cycle_time_working_s: "订单周期（班内）", order_time_by_cause_s: "订单时间构成",
    late_orders: "超期订单", open_orders_end: "期末未交订单", meters_issued: "领用表计", boxes_out: "出库箱数",
    share_of_issues_from_before_start: "出自初始库存的比例", boxes_in: "入库箱数", gate_read_whole: "门禁一次读全", put_away_time_s: "上架时间",
    put_away_backlog: "待上架箱数", allocation_failures: "无货位可分配", overflow_boxes: "转存平库", box_moves: "搬运箱次",
    boxes_per_hour: "每小时搬运箱数", robot_utilisation: "机器人利用率", robot_availability: "机器人完好率", time_by_cause_s: "机器人时间构成",
    task_time_by_cause_s: "任务时间构成", tours: "作业趟次", boxes_per_tour: "每趟箱数", digs: "倒箱", digs_per_retrieval: "每次下架倒箱数",
    availability: "可用率", performance_availability: "性能可用率", faults: "故障", people_utilisation: "人员利用率",
    person_hours_per_1000_meters: "每千只表人工时", fill_boxes: "箱位占用率", fill_slots: "货位占用率", fill_meters: "表计占用率",
    overdue_meters: "超期表计", overdue_meters_end: "期末超期表计", stock_age_days: "库龄", boxes_left: "其他出库箱数", boxes_came_back: "退回箱数",
    days_away: "送检天数", recall_time_h: "召回用时", empty_boxes: "空箱", fefo_violations: "违反先到期先出", fifo_violations: "违反先入先出",
    record_accuracy_location: "账实相符率（货位）", record_accuracy_box: "账实相符率（箱）", record_accuracy_meter: "账实相符率（表）",
    errors_made: "产生的错误", errors_found: "发现的错误", errors_missed: "未发现的错误", days_to_discovery: "发现所需天数",
    discrepancies: "账实差异", boxes_on_hold: "冻结箱数", slots_counted: "已盘货位", certified_accuracy: "抽样证明的相符率",
    count_duration_h: "盘点用时", count_robot_hours: "盘点机器人工时", count_person_hours: "盘点人工时", differences_noted: "初盘差异",
    count_false_alarms: "误报差异", differences_posted: "盘盈盘亏过账",
  },
  lead: {
    title: "出库时间", what: "{orders} 个领用单从下达到交付的平均时间，按原因划分；琥珀色为等待。", mean: "平均", late: "超期领用单",
    none_late: "没有超期的领用单。", last: "最近交付",
  },
  legend: { visits: "次访问", never: "未盘点", as_recorded: "账实相符", one_off: "差 1 箱", right: "相符", one_wrong: "1 箱不符", more: "更多" },
  line: {
    occupancy: "占用", queue: "等待", boxes_in_per_h: "入", boxes_out_per_h: "出", lead_time_p50_s: "P50", lead_time_p90_s: "P90",
    lead_time_p95_s: "P95", boxes_in: "近一小时入库箱数", boxes_out: "近一小时出库箱数", lead: "近 8 小时出库时间 P95（分）",
  },
  lot: { here: "在库 {here} / {all}", recall: "召回", recalled: "是，已清退 {left} / {boxes}" },
  meter: { status: "资产状态", life: "全过程" },
  mode: { live: "实时：立即开始，按设定速度", batch: "批量：排队运行到结束" },
  more: {
    skip: "跳到正文", scenario: "场景", seed: "随机种子", name: "名称", mode: "运行方式", speed: "速度", yes: "是", points: "个百分点",
    fastest: "尽可能快",
  },
  order: {
    station: "供电所", lines: "明细", missing: "缺 {meters}", released: "下达", due: "期限", handed: "交付", waits: "已等待", took: "用时",
    late: "超期", late_by: "超期 {span}", open: "未完成", short: "缺货", handed_over: "已交付", why: "时间去向", open_yet: "交付后给出。",
    tasks: "任务",
  },
  orders: { "": "领用单", none: "没有未完成或超期的领用单。" },
  past: { "": "时间", branch: "从此分支", back: "后退一分钟", on: "前进一分钟" },
  place: {
    truck: "车上", staging: "暂存区", overflow: "平库", "pick-station": "工作站", "loose-rack": "散表架", "handed-over": "已交付", outside: "库外",
  },
  q: {
    title: "二十个问题", lead: "对这类表库的提问，以及多次运行（带置信区间）给出的回答。用所列命令可重新求解。", open: "现有信息不足以判定",
    again: "重新求解：", start: "使用 {base}",
  },
  racks: {
    "": "货架", view: "货架视图", label: "货架：方向键移动，回车打开货位", solid: "货架三维视图", row: "{row} 排", of: "{boxes} / {capacity} 箱",
    port: "站台 {name}", charger: "充电位 {name}",
  },
  reset: {
    "": "重置", hint: "从头开始同一场景", title: "重新开始？", what: "同一场景和随机种子将作为新的运行重新开始；当前运行停止，仍可在“运行”中查看。",
  },
  robot: { state: "动作", battery: "电量", load: "载箱", since: "开始于", tasks: "最近任务" },
  run: {
    "": "运行", connecting: "正在连接", queued: "排队", running: "运行中", paused: "已暂停", finished: "已结束", stopped: "已停止", failed: "失败",
    interrupted: "已中断", restoring: "正在恢复", lost: "连接中断", past: "查看过去",
  },
  runs: {
    "": "运行", lead: "本服务器上启动过的全部运行。", none: "还没有运行，可在下方启动。", compare_n: "对比 {n} 次运行", choose: "选择 {run} 参与对比",
    details: "输入与结果", progress: "进度", length: "时长与开始时间", days: "时长", current: "当前", open: "打开实时页面", stop: "停止",
    again: "以此为基础新建", delete: "删除", delete_sure: "删除 {name}（{run}）及其全部数据？", inputs: "输入",
    inputs_note: "仅列出与参考库房不同的参数；场景文件中有全部参数。", outputs: "结果（截至{at}）", digest: "摘要",
  },
  sec: {
    often: "最常修改", time: "时间", calendar: "日历", boxes: "周转箱", layout: "布局", initial: "初始库存", supply: "供应", demand: "需求",
    people: "人员", staging: "暂存", robots: "机器人", tour: "作业趟次", policy: "策略", records: "账目", reads: "识读", counting: "盘点",
    faults: "故障", fallback: "机器人停机时", returns: "拆回", reverify: "复检", empties: "空箱", control: "预警与安全库存", other: "其他",
  },
  sf: {
    title: "新建运行", lead: "选一个场景，按需修改；只提交改动过的参数。", find: "查找参数", start: "启动",
    dropped: "来自 {file}，以 {base} 为基础。", json: "应为 JSON 格式的列表或表", number: "应为数字", whole: "应为整数 {range}",
    range: "应为数字 {range}", seed: "随机种子应在 0 到 9,007,199,254,740,991 之间", changed: "改动 {n} 项：{what}", unchanged: "与场景一致。",
    started: "{run} 已启动。",
  },
  slot: {
    boxes: "周转箱", meters: "电能表", class: "类别", status: "上架状态", reserved: "预留箱位", last_count: "最近盘点", expires: "有效至",
    contents: "箱明细", empty: "此货位为空。",
  },
  state: { idle: "空闲", move: "行驶", handle: "取放", charge: "充电", wait: "等待", fault: "故障" },
  status: { empty: "空", open: "有空位", full: "满", held: "待盘点", blocked: "已封锁", none: "无箱位" },
  steer: {
    "": "干预", now: "命令作用于当前运行，而不是所显示的过去时刻。", usual: "按常规", all_slots: "全部货位", as_is: "保持：{now}", order: "领用单",
    "order.what": "供电所领用电能表，立即预留周转箱。", delivery: "到货", "delivery.what": "车辆按时到货，在班次内卸货。", stop_robot: "停机器人",
    "stop_robot.what": "机器人就地停止，直到修复。", repair_robot: "修复机器人", "repair_robot.what": "机器人立即恢复工作。", block_slot: "封锁货位",
    "block_slot.what": "不再放入周转箱，已有的仍可取出。", free_slot: "解除封锁", "free_slot.what": "货位重新可用。", count: "盘点",
    "count.what": "尽快盘点所列货位，先于计划盘点。", recall: "召回批次", "recall.what": "该批次不再出库领用，全部清退。", change_policy: "更改策略",
    "change_policy.what": "从下一次决策起按新策略。", set: "更改参数", transfer: "移库", hold_box: "冻结周转箱", release_box: "解冻周转箱",
    scrap: "报废周转箱",
  },
  step: { "": "步进", hint: "前进这么久后暂停", size: "步长", "10s": "10 秒", "1min": "1 分", "10min": "10 分", "1h": "1 小时", "8h": "8 小时" },
  stock: { "": "库存", sku: "类别", on_hand: "在库", usable: "可用", on_order: "在途" },
  task: { "": "任务", class: "类型", way: "起止", created: "生成", assigned: "领取", ended: "完成", waited: "等待" },
  taskstate: { waiting: "等待", assigned: "执行中", done: "完成", cancelled: "取消" },
  truth: {
    shown: "现在显示的是真实状态（实际库房无从得知）：标出账实不符的货位。页面其余部分仍按账面显示。",
    refused: "无法显示真实状态：服务器不允许查看。需要带 truth:read 权限的密钥，或以 --truth 启动服务器。", recorded: "账面位置 {place}",
  },
  unit: {
    tasks: "个任务", boxes: "箱", min: "分", meters: "只表", days: "天", "boxes/h": "箱/小时", orders: "单", times: "次", tours: "趟", h: "小时",
    slots: "个货位", differences: "处差异", errors: "个错误", "boxes/box": "箱/箱",
  },
  view: { "2d": "二维立面", "3d": "三维视图", front: "正视", above: "俯视", reset: "复位" },
  wall: { "": "大屏", leave: "退出大屏模式", boxes_per_h: "入 / 出，箱/小时" },
  why: {
    "": "为什么？", plays: "正在重放运行至决策时刻…", slot: "为何选此货位", box: "为何选此箱", robot: "为何由此机器人、此时执行",
    rule: "规则：{rule}", all: "货位总数", all_boxes: "此类周转箱", left: "剩余可选", best: "最佳五个（货架上标 1–5）", others: "其他规则的选择",
    chosen: "= 实际选择", waited: "{class} {tasks} 个，最久 {span}", checked: "重放验证：前 {facts} 条记录完全一致。",
  },
  window: { "": "时间窗", "1h": "1 小时", "8h": "8 小时", "24h": "24 小时", all: "全部" },
};

const VERDICTS = {
  "What breaks limits the store": "故障限制了库房", "The people limit the store": "人员限制了库房", "The robot limits the store": "机器人限制了库房",
  "Supply limits the store": "供货限制了库房", "Room in the racks limits the store": "货位不足限制了库房", "Put-away limits the store": "上架限制了库房",
  "The shifts limit the store": "班次限制了库房", "Nothing works near its limit": "没有环节接近极限",
};

/** For what orders wait longest in a whole run. */
const WAITS = {
  stock: "库存", "boxes that are not as recorded": "账实不符的周转箱", "a robot": "机器人", people: "人员", "the next shift": "下一班", "a tour to fill up": "拼单",
  "a free aisle": "巷道", "a free port": "站台", "a place that another robot works on": "另一台机器人让出位置", "a robot that charges": "机器人充电", "a robot that is out of order": "机器人修复",
};

/** Kinds of clauses on what limits the store, now or in a whole run, with what stands for each. @type {[RegExp, (...parts: string[]) => string][]} */
const CLAUSES = [
  [/^The (\d+) robots limit the store$/, (n) => `${n} 台机器人限制了库房`],
  [/^the (?:(\d+) robots were|robot was) busy (\d+) % of the last hour and (.*)$/, (n, share, rest) => `${n ? `${n} 台` : ""}机器人最近一小时忙 ${share} %，${inChinese(rest)}`],
  [/^the (?:(\d+) robots are|robot is) busy (\d+) % of shift time and (.*)$/, (n, share, rest) => `${n ? `${n} 台` : ""}机器人忙 ${share} % 的当班时间，${inChinese(rest)}`],
  [/^there is no robot and (.*)$/, (rest) => `没有机器人，${inChinese(rest)}`],
  [/^people (\d+) %(?: of their shift time)?$/, (share) => `人员忙 ${share} % 的当班时间`],
  [/^there are no people$/, () => "没有人员"],
  [/^the next shift begins on (\S+) at (\S+)$/, (day, time) => `下一班 ${day} ${time} 开始`],
  [/^(\d+) of (\d+) robots? (?:is|are) out of order$/, (n, all) => `${all} 台机器人中 ${n} 台故障`],
  [/^([\d,]+) tasks? (?:has waited|wait, the oldest) for (\d+) (min|h)$/, (n, waited, unit) => `${n} 个任务等待，最久 ${waited} ${unit === "h" ? "小时" : "分"}`],
  [/^([\d,]+) of ([\d,]+) open orders? (?:is|are) short of stock$/, (n, all) => `${all} 个未完成领用单中 ${n} 个缺货`],
  [/^([\d,]+) box(?:es)? found no slot$/, (n) => `${n} 箱没有可用货位`],
  [/^([\d,]+) box(?:es)? found staging full( and went to the flat store)?$/, (n) => `${n} 箱因暂存区已满而存入平库`],
  [/^an order is worked on for (\d+) % of its time(?: and waits longest for (.*) \((\d+) %\))?$/, (work, what, share) => `领用单 ${work} % 的时间有人或机器人处理${what ? `，等待${WAITS[what] ?? what}最久（${share} %）` : ""}`],
  [/^orders pile up, from ([\d,]+) open at the start to ([\d,]+) at the end$/, (from, to) => `未完成领用单积压，由期初 ${from} 个增至期末 ${to} 个`],
];

function inChinese(clause) {
  if (VERDICTS[clause]) return VERDICTS[clause];
  for (const [kind, words_] of CLAUSES) {
    const found = kind.exec(clause);
    if (found) return words_(...found.slice(1));
  }
  return clause;
}

/** What the server words in English: problems by their kind, rejections by the command, and the sentence on what limits the store. */
export const said = {
  /** @type {Record<string, string>} */
  problem: {
    "bad-request": "请求无法读取", invalid: "请求有误", unauthorized: "需要 API 密钥", forbidden: "该密钥无此权限", "not-found": "没有该对象", conflict: "当前状态下无法执行",
    "does-not-fit": "与库房现状不符", "precondition-failed": "其间已有变化", "too-large": "超出服务器所能处理的规模", "too-many-requests": "请求过多，请稍后再试", "queue-full": "排队的运行已满",
    internal: "服务器出错", unavailable: "服务器暂时无法处理", "storage-full": "磁盘空间不足", restoring: "运行正在恢复", timeout: "处理超时", "facts-damaged": "该运行的事实记录已损坏", "read-only": "该运行只能查看",
  },
  /** @type {Record<string, string>} */
  rejected: {
    order: "当前无法下单", delivery: "当前无法安排到货", stop_robot: "该机器人已停", repair_robot: "该机器人无需修复", block_slot: "该货位已封锁", free_slot: "该货位未封锁", count: "这些货位当前无法盘点",
    recall: "该批次当前无法召回", change_policy: "当前无法更改策略", set: "当前无法更改参数", transfer: "该周转箱当前无法移库", hold_box: "该周转箱当前无法冻结", release_box: "该周转箱当前无法解冻", scrap: "该周转箱当前无法报废",
  },
  /** @param {string} sentence */
  limits(sentence) {
    const [verdict, ...rest] = sentence.replace(/\.$/, "").split(": ");
    return sentence && `${inChinese(verdict)}：${rest.join(": ").split("; ").map(inChinese).join("；")}。`;
  },
};
