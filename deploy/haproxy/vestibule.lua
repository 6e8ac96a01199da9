-- Asks Vestibule's check about each request, for haproxy.cfg.template.

local check_url = os.getenv("VESTIBULE_CHECK_URL")
local secret = os.getenv("VESTIBULE_CHECK_SECRET")
-- In milliseconds. HAProxy tries four times to connect. Vestibule itself answers within 4 s.
local timeout = 5000

-- The client's values never reach the upstream. The check's response has the values that do.
local from_response = {
    "x-auth-request-user", "x-auth-request-email", "x-auth-request-preferred-username",
    "x-auth-request-groups", "x-auth-request-role", "x-auth-request-key", "x-vestibule-assertion",
    "authorization", "x-api-key", "x-litellm-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key",
    "cookie",
}

-- Headers of a denial that the client receives.
local for_client = {
    "content-type", "location", "www-authenticate", "retry-after", "cache-control", "vary", "x-request-id",
    "content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy",
    "cross-origin-opener-policy", "cross-origin-embedder-policy",
}

-- Headers about the client's connection or body, which the check's request does not have.
local not_for_check = {
    ["connection"] = true, ["content-length"] = true, ["transfer-encoding"] = true, ["expect"] = true, ["te"] = true,
    ["trailer"] = true, ["keep-alive"] = true, ["host"] = true,
}

-- HAProxy's tables of header values begin with index 0.
local function each_value(values)
    local list = {}
    local index = 0
    while values and values[index] ~= nil do
        list[#list + 1] = values[index]
        index = index + 1
    end
    return list
end

local function check_headers(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not not_for_check[name] then
            headers[name] = each_value(values)
        end
    end
    headers["x-forwarded-method"] = { txn.f:method() }
    headers["x-forwarded-uri"] = { txn.f:pathq() }
    if secret ~= nil and secret ~= "" then
        headers["x-vestibule-gateway-secret"] = { secret }
    end
    return headers
end

local function refuse(txn, status, headers, body)
    local reply = txn:reply()
    reply:set_status(status)
    for _, name in ipairs(for_client) do
        for _, value in ipairs(each_value(headers[name])) do
            reply:add_header(name, value)
        end
    end
    if txn.f:method() ~= "HEAD" then
        reply:set_body(body or "")
    end
    txn:done(reply)
end

local unavailable = '{"error":"temporarily_unavailable","error_description":"The check could not be made. Try again."}'

core.register_action("vestibule_check", { "http-req" }, function(txn)
    local response = core.httpclient():get({ url = check_url, headers = check_headers(txn), timeout = timeout })
    local status = response and response.status or 0
    local headers = response and response.headers or {}
    -- HAProxy's own answer if the check does not answer has no Retry-After.
    if status < 200 or (status >= 500 and headers["retry-after"] == nil) then
        return refuse(txn, 503, { ["content-type"] = { [0] = "application/json" }, ["retry-after"] = { [0] = "1" } }, unavailable)
    end
    if status ~= 200 then
        return refuse(txn, status, headers, response.body)
    end
    for _, name in ipairs(from_response) do
        txn.http:req_del_header(name)
        for _, value in ipairs(each_value(headers[name])) do
            txn.http:req_add_header(name, value)
        end
    end
    txn:set_var("txn.vestibule_allowed", true)
end, 0)
